"use strict";
// What the widgets share. Each is a drawing, a pure function of its data and its state, with
// controls that change the state. Nothing is loaded: the data stand in the page.

const widgets = {};
const BLUE = "#3b7dc4", ORANGE = "#d9772b", GREY = "#8a8a8a";
// Ten colours that tell groups apart on light and on dark.
const GROUPS = [
  "#3b7dc4", "#d9772b", "#3f9f5f", "#c9444a", "#8a68b8",
  "#8d6a50", "#d070ae", "#8a8a8a", "#a9a032", "#2fa5b5",
];

function escaped(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
}

function element(name, attributes, inside = "") {
  const given = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(value)}"`);
  return `<${name}${given.join("")}>${inside}</${name}>`;
}

function write(x, y, text, attributes = {}) {
  return element("text", { x, y, fill: "currentColor", "font-size": 13, ...attributes }, escaped(text));
}

function picture(width, height, parts, said) {
  const given = {
    xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, role: "img",
    "aria-label": said, "font-family": "sans-serif",
  };
  return element("svg", given, parts.join(""));
}

// A line through values from 0 to 100, or from 0 to `top`, in a box.
function curve(values, x, y, width, height, top, attributes) {
  const step = width / Math.max(1, values.length - 1);
  const points = values.map(
    (value, i) => `${(x + i * step).toFixed(1)},${(y + height * (1 - value / top)).toFixed(1)}`,
  );
  return element("polyline", { points: points.join(" "), fill: "none", ...attributes });
}

// Horizontal lines with their numbers.
function ticks(values, x, y, width, height, top) {
  return values.map((value) => {
    const at = y + height * (1 - value / top);
    const line = { x1: x, x2: x + width, y1: at, y2: at, stroke: GREY, "stroke-width": 0.5 };
    return element("line", line) + write(x - 6, at + 4, value, { "text-anchor": "end" });
  }).join("");
}

function control(document, name, about, state, changed) {
  const label = document.createElement("label");
  const id = `${name}-${about.key}`;
  label.htmlFor = id;
  label.append(about.label);
  let input;
  if (about.options) {
    input = document.createElement("select");
    for (const [value, text] of about.options) input.add(new Option(text, value));
  } else {
    input = document.createElement("input");
    Object.assign(input, { type: "range", min: about.min, max: about.max, step: about.step });
  }
  input.id = id;
  input.value = state[about.key];
  const output = document.createElement("output");
  output.htmlFor = id;
  const show = () => {
    if (!about.options) {
      output.value = about.show(state);
      input.setAttribute("aria-valuetext", output.value);
    }
  };
  input.addEventListener("input", () => {
    state[about.key] = about.options ? input.value : Number(input.value);
    changed();
  });
  show();
  label.append(input, ...(about.options ? [] : [output]));
  return [label, show];
}

function mount(name) {
  const widget = widgets[name];
  const host = document.getElementById(`widget-${name}`);
  const data = JSON.parse(document.getElementById(`data-${name}`).textContent);
  const state = widget.start(data);
  const figure = document.createElement("div");
  const words = document.createElement("p");
  words.setAttribute("role", "status");
  const shows = [];
  const draw = () => {
    shows.forEach((show) => show());
    figure.innerHTML = widget.draw(data, state);
    words.textContent = widget.tell(data, state);
  };
  const controls = document.createElement("div");
  controls.className = "controls";
  for (const about of widget.controls(data)) {
    const [label, show] = control(document, name, about, state, draw);
    controls.append(label);
    shows.push(show);
  }
  host.replaceChildren(controls, figure, words);
  host.classList.add("alive");
  draw();
}

if (typeof document !== "undefined") {
  document.addEventListener("DOMContentLoaded", () => {
    for (const name of Object.keys(widgets)) {
      if (document.getElementById(`widget-${name}`)) mount(name);
    }
  });
}
