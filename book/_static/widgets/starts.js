"use strict";
// Twenty starts of k-means on the same rows.

widgets.starts = {
  start: () => ({ whose: "draws", number: 1 }),

  controls: (data) => [
    { key: "whose", label: "How a start is chosen", options: [["draws", "our rule"], ["authors", "SMART's code"]] },
    {
      key: "number", label: "Start", min: 1, max: data.draws.length, step: 1,
      show: (state) => `${state.number} of ${data.draws.length}`,
    },
  ],

  // Which start a user would keep, by the sum of distances; which the labels would like best.
  kept(data, whose) {
    const all = data[whose].map((one, i) => [one, i]);
    const least = all.reduce((a, b) => (b[0].distances < a[0].distances ? b : a))[1];
    const best = all.reduce((a, b) => (b[0].accuracy > a[0].accuracy ? b : a))[1];
    return { least, best };
  },

  tell(data, state) {
    const all = data[state.whose];
    const one = all[state.number - 1];
    const { least, best } = this.kept(data, state.whose);
    const accuracies = all.map((each) => each.accuracy);
    return `Start ${state.number}: accuracy ${one.accuracy.toFixed(1)}. The twenty run from ` +
      `${Math.min(...accuracies).toFixed(1)} to ${Math.max(...accuracies).toFixed(1)}. The least sum ` +
      `of distances, start ${least + 1}, has ${all[least].accuracy.toFixed(1)}; the labels would ` +
      `choose start ${best + 1}.`;
  },

  draw(data, state) {
    const whole = [...data.draws, ...data.authors];
    const low = Math.min(...whole.map((one) => one.distances));
    const high = Math.max(...whole.map((one) => one.distances));
    const across = (one) => 50 + 240 * (one.distances - low) / (high - low || 1);
    const down = (one) => 290 - 2.5 * one.accuracy;
    const parts = [ticks([0, 25, 50, 75, 100], 40, 40, 260, 250, 100), write(10, 22, "accuracy of each start (%)")];
    parts.push(write(40, 316, "few"), write(170, 316, "sum of distances", { "text-anchor": "middle" }),
      write(300, 316, "many", { "text-anchor": "end" }));
    for (const whose of ["draws", "authors"]) {
      const mine = whose === state.whose;
      data[whose].forEach((one, i) => {
        const chosen = mine && i === state.number - 1;
        parts.push(element("circle", {
          cx: across(one).toFixed(1), cy: down(one).toFixed(1), r: chosen ? 8 : 4,
          fill: chosen ? ORANGE : mine ? BLUE : GREY, "fill-opacity": chosen ? 1 : mine ? 0.7 : 0.35,
        }));
      });
    }
    const { labels } = data[state.whose][state.number - 1];
    parts.push(write(340, 22, "the rows, coloured by their cluster"));
    data.rows.forEach(([x, y], i) => parts.push(element("circle", {
      cx: 340 + 2.8 * x, cy: 310 - 2.7 * y, r: 3.2, fill: GROUPS[labels[i]],
    })));
    return picture(640, 326, parts, `Left, twenty starts by sum of distances and accuracy. Right, ` +
      `${data.rows.length} digits, alike ones close, coloured by cluster. ${this.tell(data, state)}`);
  },
};
