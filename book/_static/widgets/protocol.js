"use strict";
// One training, and the accuracy that each protocol reads off it.

widgets.protocol = {
  start: () => ({ share: "0.5", rule: "last", start: "authors,1", mode: "eval" }),

  controls: () => [
    { key: "share", label: "Aligned rows", options: [["0.5", "half"], ["1", "all"]] },
    { key: "rule", label: "Epoch", options: [["last", "last"], ["central", "central"], ["loss", "lowest loss"], ["oracle", "best on the labels"]] },
    { key: "start", label: "Start of k-means", options: [["authors,1", "SMART's code"], ["draws,1", "ours"], ["draws,20", "best of twenty"]] },
    { key: "mode", label: "Network", options: [["eval", "evaluation mode"], ["train", "training mode"]] },
  ],

  read: (data, state) => data[state.share][`${state.mode},${state.start}`],

  range(data, state) {
    const all = Object.values(data[state.share]).flatMap((one) => Object.values(one.rules));
    return [Math.min(...all), Math.max(...all), all.length];
  },

  tell(data, state) {
    const value = this.read(data, state).rules[state.rule];
    const [low, high, count] = this.range(data, state);
    return `This protocol prints ${value.toFixed(1)}. The same training gives ${count} protocols ` +
      `accuracies from ${low.toFixed(1)} to ${high.toFixed(1)}.`;
  },

  draw(data, state) {
    const { curve: values, rules } = this.read(data, state);
    const value = rules[state.rule];
    const [low, high] = this.range(data, state);
    const x = 50, y = 40, width = 480, height = 230;
    const at = (v) => y + height * (1 - v / 100);
    const parts = [ticks([0, 25, 50, 75, 100], x, y, width, height, 100), write(10, 22, "accuracy on BDGP (%)")];
    for (const other of Object.values(data[state.share])) {
      parts.push(curve(other.curve, x, y, width, height, 100, { stroke: GREY, "stroke-width": 0.6, "stroke-opacity": 0.35 }));
    }
    parts.push(curve(values, x, y, width, height, 100, { stroke: BLUE, "stroke-width": 1.6 }));
    parts.push(element("rect", { x: x + width + 8, y: at(high), width: 10, height: at(low) - at(high), fill: GREY, "fill-opacity": 0.4 }));
    parts.push(element("line", { x1: x, x2: x + width + 18, y1: at(value), y2: at(value), stroke: ORANGE, "stroke-width": 2, "stroke-dasharray": "6 4" }));
    parts.push(write(x + width + 24, at(value) + 5, value.toFixed(1), { fill: ORANGE, "font-weight": "bold", "font-size": 16 }));
    const last = values.length;
    for (const epoch of [1, last / 2, last]) {
      const place = x + width * (epoch - 1) / (last - 1);
      parts.push(write(place, y + height + 20, epoch, { "text-anchor": "middle" }));
    }
    parts.push(write(x + width / 2, y + height + 40, "epoch", { "text-anchor": "middle" }));
    return picture(600, 316, parts, `Accuracy over the ${last} epochs of one training, with a line at the number ` +
      `that is read off. ${this.tell(data, state)}`);
  },
};
