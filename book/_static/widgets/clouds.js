"use strict";
// Two clouds of points, the second turned: what SDD and MMD say of them. Neither reads partners.

widgets.clouds = {
  start: () => ({ angle: 0 }),

  controls: () => [
    { key: "angle", label: "Turn of the second cloud", min: 0, max: 360, step: 2, show: (state) => `${state.angle}°` },
  ],

  turned(points, angle) {
    const c = Math.cos(angle * Math.PI / 180), s = Math.sin(angle * Math.PI / 180);
    return points.map(([x, y]) => [c * x - s * y, s * x + c * y]);
  },

  // MMD² = mean k(a, a') + mean k(b, b') - 2 mean k(a, b), k = exp(-|x - y|² / width).
  mmd(A, B, width) {
    const mean = (P, Q) => P.reduce((sum, p) => sum + Q.reduce((t, q) => t + Math.exp(-apart(p, q) / width), 0), 0) / (P.length * Q.length);
    return mean(A, A) + mean(B, B) - 2 * mean(A, B);
  },

  // L_sdd = [J(A, B) + J(B, A)] (1/r_A + 1/r_B), J = sum (p - q)(log p - log q), as Set-CLIP's code.
  sdd(A, B, h) {
    const axes = [0, 1];
    const variance = (P) => axes.reduce((sum, k) => {
      const mean = P.reduce((t, p) => t + p[k], 0) / P.length;
      return sum + P.reduce((t, p) => t + (p[k] - mean) ** 2, 0) / (P.length - 1);
    }, 0);
    const extent = (P) => axes.reduce((sum, k) => sum + (Math.max(...P.map((p) => p[k])) - Math.min(...P.map((p) => p[k]))) ** 2, 0);
    const density = (x, P, v) => 3 / 16 / (2 * Math.PI * h * h) * P.reduce((t, z) => t + Math.exp(-apart(x, z) / (4 * h * h * v)), 0);
    const J = (P, Q) => {
      const vP = variance(P), vQ = variance(Q);
      return P.reduce((sum, x) => {
        const p = density(x, P, vP), q = density(x, Q, vQ) * P.length / Q.length;
        return sum + (p - q) * Math.log(p / q);
      }, 0);
    };
    return (J(A, B) + J(B, A)) * (1 / extent(A) + 1 / extent(B));
  },

  // Both losses at each angle, once.
  swept(data) {
    if (!this.known || this.known.data !== data) {
      const angles = Array.from({ length: 91 }, (_, k) => 4 * k);
      const at = (loss) => angles.map((angle) => loss(data.first, this.turned(data.second, angle)));
      this.known = {
        data,
        sdd: at((A, B) => this.sdd(A, B, data.bandwidth)),
        mmd: at((A, B) => this.mmd(A, B, data.width)),
      };
    }
    return this.known;
  },

  measures(data, state) {
    const second = this.turned(data.second, state.angle);
    const nearest = data.first.filter((p, i) => {
      const gaps = second.map((q) => apart(p, q));
      return gaps.indexOf(Math.min(...gaps)) === i;
    }).length;
    return {
      second, found: 100 * nearest / data.first.length,
      sdd: this.sdd(data.first, second, data.bandwidth), mmd: this.mmd(data.first, second, data.width),
    };
  },

  tell(data, state) {
    const { sdd, mmd, found } = this.measures(data, state);
    return `Turned by ${state.angle}°: SDD ${sdd.toFixed(2)}, MMD ${Math.max(0, mmd).toFixed(3)}. ` +
      `The nearest point is the partner for ${found.toFixed(0)} % of the points.`;
  },

  draw(data, state) {
    const { second } = this.measures(data, state);
    const swept = this.swept(data);
    const place = ([x, y]) => [150 + 92 * x, 160 - 92 * y];
    const parts = [write(10, 22, "two clouds")];
    data.first.forEach((p, i) => {
      const [x1, y1] = place(p), [x2, y2] = place(second[i]);
      parts.push(element("line", { x1: x1.toFixed(1), y1: y1.toFixed(1), x2: x2.toFixed(1), y2: y2.toFixed(1), stroke: GREY, "stroke-width": 0.4 }));
    });
    for (const [points, fill] of [[data.first, BLUE], [second, ORANGE]]) {
      for (const [x, y] of points.map(place)) parts.push(element("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 4, fill, "fill-opacity": 0.8 }));
    }
    const x = 345, width = 270;
    [["SDD", swept.sdd, 40], ["MMD", swept.mmd, 180]].forEach(([name, values, y]) => {
      const top = Math.max(...values);
      parts.push(write(x, y - 8, `${name}, by the turn`), curve(values, x, y, width, 100, top, { stroke: BLUE, "stroke-width": 2 }));
      parts.push(element("line", { x1: x, x2: x + width, y1: y + 100, y2: y + 100, stroke: GREY }));
      const at = x + width * state.angle / 360;
      parts.push(element("line", { x1: at, x2: at, y1: y, y2: y + 100, stroke: ORANGE, "stroke-width": 2 }));
    });
    for (const angle of [0, 90, 180, 270, 360]) parts.push(write(x + width * angle / 360, 300, `${angle}°`, { "text-anchor": "middle" }));
    return picture(640, 312, parts, `Left, two clouds of ${second.length} points with lines between partners. Right, SDD ` +
      `and MMD at each turn. ${this.tell(data, state)}`);
  },
};

function apart([a, b], [c, d]) {
  return (a - c) ** 2 + (b - d) ** 2;
}
