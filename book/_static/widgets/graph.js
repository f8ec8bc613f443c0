"use strict";
// The semantic graph in the course of a training: where the weight of each digit's rows goes.

widgets.graph = {
  start: () => ({ frame: 0 }),

  controls: (data) => [
    { key: "frame", label: "Epoch", min: 0, max: data.frames.length - 1, step: 1, show: (state) => `${data.frames[state.frame].epoch}` },
  ],

  tell(data, state) {
    const { epoch, precision, recall, shares } = data.frames[state.frame];
    const kept = shares.map((row, k) => row[k]);
    return `After epoch ${epoch}, ${(100 * precision).toFixed(0)} % of the edges join rows of one digit, and ` +
      `${(100 * recall).toFixed(0)} % of the pairs of one digit are joined. Best kept apart: the ` +
      `${kept.indexOf(Math.max(...kept))}; worst: the ${kept.indexOf(Math.min(...kept))}.`;
  },

  draw(data, state) {
    const { shares } = data.frames[state.frame];
    const size = 32, left = 50, top = 60;
    const parts = [write(left, 20, "digit of the row of view 2"), write(430, 20, "edges within a digit (%)")];
    shares.forEach((row, i) => {
      parts.push(write(left - 12, top + size * i + 21, i, { "text-anchor": "end" }));
      parts.push(write(left + size * i + 16, top - 8, i, { "text-anchor": "middle" }));
      row.forEach((share, j) => parts.push(element("rect", {
        x: left + size * j + 1, y: top + size * i + 1, width: size - 2, height: size - 2, stroke: GREY, "stroke-width": 0.3,
        fill: i === j ? BLUE : ORANGE, "fill-opacity": Math.sqrt(share / 100).toFixed(3),
      })));
    });
    const x = 450, width = 160, height = 250;
    const precision = data.frames.map((frame) => 100 * frame.precision);
    const last = data.frames[data.frames.length - 1].epoch;
    const place = (frame) => x + width * (frame.epoch - 1) / (last - 1);
    parts.push(ticks([0, 50, 100], x, top, width, height, 100));
    data.frames.forEach((frame, k) => parts.push(element("circle", {
      cx: place(frame).toFixed(1), cy: (top + height * (1 - precision[k] / 100)).toFixed(1),
      r: k === state.frame ? 7 : 3, fill: k === state.frame ? ORANGE : BLUE,
    })));
    for (const epoch of [1, last]) parts.push(write(place({ epoch }), top + height + 20, epoch, { "text-anchor": "middle" }));
    parts.push(write(x + width / 2, top + height + 20, "epoch", { "text-anchor": "middle" }));
    return picture(640, top + size * 10 + 12, parts, `Left, a square of digits by digits, darker where more of the graph's ` +
      `weight goes. Right, precision by epoch. ${this.tell(data, state)}`);
  },
};
