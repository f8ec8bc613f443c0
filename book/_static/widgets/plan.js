"use strict";
// Twelve drawings, twelve words: how much of each drawing goes to each word.

widgets.plan = {
  start: () => ({ how: "plan", exponent: -1.5 }),

  controls: () => [
    { key: "how", label: "Counterpart", options: [["plan", "transport plan (CAE)"], ["softmax", "softmax of each row (TAC)"]] },
    { key: "exponent", label: "ε", min: -3, max: 0, step: 0.1, show: (state) => epsilonOf(state).toPrecision(2) },
  ],

  // Each row by its own softmax, or scaled in turn with the columns until both have their sums.
  shares(data, state) {
    const epsilon = epsilonOf(state);
    const n = data.names.length;
    const logs = data.likeness.map((row) => row.map((s) => s / epsilon));
    const f = new Array(n).fill(0);
    const g = new Array(n).fill(0);
    const rounds = state.how === "plan" ? 3000 : 0;
    const rows = () => logs.forEach((row, i) => { f[i] = -Math.log(n) - summed(row.map((v, j) => v + g[j])); });
    rows();
    for (let round = 0; round < rounds; round += 1) {
      let moved = 0;
      for (let j = 0; j < n; j += 1) {
        const next = -Math.log(n) - summed(logs.map((row, i) => row[j] + f[i]));
        moved = Math.max(moved, Math.abs(next - g[j]));
        g[j] = next;
      }
      rows();
      if (moved < 1e-10) break;
    }
    return logs.map((row, i) => row.map((v, j) => Math.exp(v + f[i] + g[j])));
  },

  measures(data, state) {
    const shares = this.shares(data, state);
    const n = shares.length;
    const spread = shares.map((row) => Math.exp(-row.reduce((sum, p) => sum + (p > 0 ? n * p * Math.log(n * p) : 0), 0)));
    const taken = shares[0].map((_, j) => n * shares.reduce((sum, row) => sum + row[j], 0));
    const right = shares.filter((row, i) => row.indexOf(Math.max(...row)) === i).length;
    return { shares, taken, right, words: spread.reduce((a, b) => a + b) / n };
  },

  tell(data, state) {
    const { taken, right, words } = this.measures(data, state);
    const most = taken.indexOf(Math.max(...taken));
    return `ε = ${epsilonOf(state).toPrecision(2)}: a drawing takes from ${words.toFixed(1)} words on the mean. ` +
      `The word taken most, “${data.names[most]}”, serves ${taken[most].toFixed(1)} drawings' worth. ` +
      `The true word has the largest share for ${right} of ${data.names.length} drawings.`;
  },

  draw(data, state) {
    const { shares, taken } = this.measures(data, state);
    const n = shares.length;
    const size = 30, left = 130, top = 110;
    const parts = [write(left - 8, top - 8, "a drawing of", { "text-anchor": "end" })];
    data.names.forEach((name, k) => {
      parts.push(write(left - 8, top + size * k + 20, name, { "text-anchor": "end" }));
      const at = `translate(${left + size * k + 19} ${top - 8}) rotate(-60)`;
      parts.push(write(0, 0, name, { transform: at }));
      const tall = Math.min(50, 14 * taken[k]);
      const y = top + size * n + 12;
      parts.push(element("rect", { x: left + size * k + 4, y, width: size - 8, height: tall.toFixed(1), fill: GREY }));
    });
    shares.forEach((row, i) => row.forEach((p, j) => parts.push(element("rect", {
      x: left + size * j + 1, y: top + size * i + 1, width: size - 2, height: size - 2,
      fill: i === j ? ORANGE : BLUE, "fill-opacity": Math.sqrt(Math.min(1, n * p)).toFixed(3),
      stroke: GREY, "stroke-width": i === j ? 1 : 0.3,
    }))));
    parts.push(write(left - 8, top + size * n + 26, "taken in all", { "text-anchor": "end" }));
    return picture(560, top + size * n + 72, parts, `A square of twelve drawings by twelve words, darker where ` +
      `more of a drawing goes to a word; true pairs on the diagonal. ${this.tell(data, state)}`);
  },
};

function epsilonOf(state) {
  return 10 ** state.exponent;
}

function summed(values) {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}
