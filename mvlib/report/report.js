(() => {
  "use strict";
  document.documentElement.classList.remove("no-script");
  const { names, images } = window.groups = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const about = (row) => {
    const [file, group, confidence, next] = images[row];
    const name = `group ${group + 1}, ${names[group]}`;
    const rival = next < 0 ? "" : ` Next nearest: group ${next + 1}, ${names[next]}.`;
    return { file, group, facts: `Confidence ${confidence.toFixed(2)} in ${name}.${rival}` };
  };
  // A small copy from this page or from the folder beside it; words where there is none.
  const { extra, thumbs } = window.groups;
  const picture = window.groups.picture = (row, said) => {
    const words = document.createElement("span");
    words.textContent = said ?? "There is no small copy of this image beside this page.";
    words.className = said ? "named" : "";
    const source = byId(`image-${row}`)?.querySelector("img").src ?? extra[row] ?? thumbs[row];
    if (!source) return words;
    const shown = document.createElement("img");
    [shown.loading, shown.alt, shown.src] = ["lazy", images[row][0], source];
    shown.addEventListener("error", () => shown.replaceWith(words));
    return shown;
  };

  // Enlarged images. A modal dialog closes by Escape and gives the focus back by itself.
  const dialog = byId("large");
  let list = [];
  let place = 0;
  const showLarge = (step) => {
    place = Math.min(Math.max(place + step, 0), list.length - 1);
    const row = list[place];
    const { file, facts } = about(row);
    byId("large-picture").replaceChildren(picture(row));
    byId("large-file").textContent = file;
    byId("large-facts").textContent = facts;
    window.groups.shown(row);
    byId("large-place").textContent = `${place + 1} of ${list.length}`;
    byId("previous").disabled = place === 0;
    byId("next").disabled = place === list.length - 1;
  };
  const enlarge = (rows, row) => {
    list = rows;
    place = rows.indexOf(row);
    showLarge(0);
    dialog.showModal();
    byId("close").focus();
  };
  byId("previous").addEventListener("click", () => showLarge(-1));
  byId("next").addEventListener("click", () => showLarge(1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      event.preventDefault();
      showLarge(step);
    }
  });
  document.addEventListener("click", (event) => {
    const thumb = event.target.closest(".thumb");
    if (!thumb) return;
    const visible = all(".thumb", thumb.closest(".grid")).filter((one) => one.offsetParent);
    enlarge(visible.map((one) => one.dataset.row), thumb.dataset.row);
  });

  // Opening and closing groups: a closed one shows its first eight images.
  const preview = 8;
  const toggles = all(".toggle");
  const setOpen = (toggle, open) => {
    const grid = byId(toggle.getAttribute("aria-controls"));
    grid.classList.toggle("closed", !open);
    toggle.setAttribute("aria-expanded", open);
    const [shown, size] = [grid.children.length, Number(toggle.dataset.size)];
    const more = shown < size ? `Show ${shown} of ${size}` : `Show all ${size}`;
    toggle.textContent = open ? "Show fewer" : more;
    toggle.setAttribute("aria-label", `${toggle.textContent}, ${toggle.dataset.name}`);
  };
  for (const toggle of toggles) {
    if (byId(toggle.getAttribute("aria-controls")).children.length <= preview) {
      toggle.parentElement.remove();
      continue;
    }
    setOpen(toggle, false);
    toggle.addEventListener("click", () => {
      setOpen(toggle, toggle.getAttribute("aria-expanded") !== "true");
      const group = toggle.closest(".group");
      if (group.getBoundingClientRect().top < 0) group.scrollIntoView();
    });
  }
  byId("open-all").addEventListener("click", () => toggles.forEach((one) => setOpen(one, true)));
  byId("close-all").addEventListener("click", () => toggles.forEach((one) => setOpen(one, false)));
  byId("order").addEventListener("click", (event) => {
    const button = event.currentTarget;
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    for (const grid of all(".grid")) grid.append(...[...grid.children].reverse());
  });

  // The map: the pointer takes the nearest point, the keys step through those of the group.
  const map = byId("map");
  const canvas = map.querySelector("svg");
  const info = byId("map-info");
  const points = all(".p", map);
  let marked = points;
  let current = null;
  const visit = (point) => {
    if (!point || point === current) return;
    current = point;
    byId("cursor").setAttribute("cx", point.getAttribute("x"));
    byId("cursor").setAttribute("cy", point.getAttribute("y"));
    const { file, facts } = about(point.dataset.row);
    const text = document.createElement("div");
    const name = document.createElement("div");
    name.className = "file";
    name.textContent = file;
    text.append(name, facts);
    const shown = picture(point.dataset.row);
    info.replaceChildren(...(shown.tagName === "IMG" ? [shown] : []), text);
  };
  const nearest = (event) => {
    const box = canvas.getBoundingClientRect();
    const scale = box.width / canvas.viewBox.baseVal.width;
    let best = null;
    let reach = 28 * 28;
    for (const point of marked) {
      const x = box.left + scale * point.getAttribute("x") - event.clientX;
      const y = box.top + scale * point.getAttribute("y") - event.clientY;
      if (x * x + y * y < reach) {
        reach = x * x + y * y;
        best = point;
      }
    }
    return best;
  };
  const openCurrent = () =>
    current && enlarge(marked.map((point) => point.dataset.row), current.dataset.row);
  map.addEventListener("pointermove", (event) => visit(nearest(event)));
  map.addEventListener("click", (event) => {
    const point = nearest(event);
    if (!point) return;
    visit(point);
    openCurrent();
  });
  map.addEventListener("focus", () => map.matches(":focus-visible") && visit(current ?? marked[0]));
  map.addEventListener("keydown", (event) => {
    const at = marked.indexOf(current);
    const last = marked.length - 1;
    const to = {
      ArrowRight: Math.min(at + 1, last), ArrowDown: Math.min(at + 1, last),
      ArrowLeft: Math.max(at - 1, 0), ArrowUp: Math.max(at - 1, 0), Home: 0, End: last,
    }[event.key];
    if (to !== undefined) visit(marked[to]);
    else if (event.key === "Enter" || event.key === " ") openCurrent();
    else return;
    event.preventDefault();
  });
  const picks = all(".pick");
  const pick = (button) => {
    const on = button.getAttribute("aria-pressed") !== "true";
    picks.forEach((one) => one.setAttribute("aria-pressed", on && one === button));
    const own = (one) => !on || one.dataset.group === button.dataset.group;
    map.classList.toggle("marked", on);
    for (const one of all("[data-group]", map)) one.classList.toggle("faded", !own(one));
    marked = points.filter(own);
    current = null;
    visit(marked[0]);
  };
  picks.forEach((button) => button.addEventListener("click", () => pick(button)));
})();
