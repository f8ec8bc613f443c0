"use strict";
// A matrix of correlations, cut at a threshold: which rows are joined.

widgets.threshold = {
  start: (data) => ({ cut: data.cut }),

  controls: () => [
    { key: "cut", label: "Threshold T", min: 0, max: 1, step: 0.01, show: (state) => state.cut.toFixed(2) },
  ],

  // Of all pairs of a row of view 1 and one of view 2: joined, alike, and both.
  measures(data, state) {
    let joined = 0, alike = 0, both = 0;
    data.correlations.forEach((row, i) => row.forEach((value, j) => {
      const same = data.labels[i] === data.labels[j];
      joined += value >= state.cut;
      alike += same;
      both += same && value >= state.cut;
    }));
    return { joined, precision: joined ? 100 * both / joined : NaN, recall: 100 * both / alike };
  },

  tell(data, state) {
    const { joined, precision, recall } = this.measures(data, state);
    const right = joined ? `${precision.toFixed(0)} % of the edges join rows of one digit` : "no edge is left";
    return `At ${state.cut.toFixed(2)} there are ${joined} edges: ${right}, and ${recall.toFixed(0)} % of the pairs of ` +
      `one digit are joined. SMART's rule takes ${data.cut.toFixed(2)} here.`;
  },

  draw(data, state) {
    const n = data.labels.length, size = 9, left = 40, top = 46;
    const parts = [write(left, 20, "rows of view 2, by digit"), write(440, 20, "by the threshold (%)")];
    data.correlations.forEach((row, i) => row.forEach((value, j) => {
      if (value < state.cut) return;
      const fill = data.labels[i] === data.labels[j] ? BLUE : ORANGE;
      parts.push(element("rect", { x: left + size * j, y: top + size * i, width: size - 1, height: size - 1, fill }));
    }));
    parts.push(element("rect", { x: left, y: top, width: size * n, height: size * n, fill: "none", stroke: GREY }));
    for (let i = 0; i < n; i += n / 10) {
      const middle = size * (i + n / 20);
      parts.push(write(left + middle, top - 6, data.labels[i], { "text-anchor": "middle" }));
      parts.push(write(left - 10, top + middle + 5, data.labels[i], { "text-anchor": "end" }));
    }
    const cuts = Array.from({ length: 51 }, (_, k) => k / 50);
    const found = cuts.map((cut) => this.measures(data, { cut }));
    const x = 470, width = 150, height = 250;
    parts.push(ticks([0, 50, 100], x, top, width, height, 100));
    for (const [name, stroke, y] of [["precision", BLUE, 320], ["recall", GREY, 342]]) {
      const values = found.map((one) => one[name]).filter((value) => !Number.isNaN(value));
      const reach = width * (values.length - 1) / (cuts.length - 1);
      parts.push(curve(values, x, top, reach, height, 100, { stroke, "stroke-width": 2 }));
      parts.push(write(x, y + 20, name, { fill: stroke, "font-weight": "bold" }));
    }
    const at = x + width * state.cut;
    parts.push(element("line", { x1: at, x2: at, y1: top, y2: top + height, stroke: ORANGE, "stroke-width": 2 }));
    parts.push(write(x, top + height + 18, "0"), write(x + width, top + height + 18, "1", { "text-anchor": "end" }));
    return picture(640, top + size * n + 12, parts, `A square of ${n} rows of view 1 by ${n} of view 2, sorted by digit: ` +
      `blue where an edge joins one digit, orange where it joins two. ${this.tell(data, state)}`);
  },
};
