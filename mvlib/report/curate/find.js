(() => {
  "use strict";
  const { names, images, words, base, picture } = window.groups;
  const byId = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const rows = Object.keys(images);
  const STEP = 48;
  let found = [];
  let listed = 0;
  const original = (row) => base + images[row][0].split("/").map(encodeURIComponent).join("/");

  // A button with the image, or its name where there is no small copy of it.
  const thumb = (row) => {
    const [file] = images[row];
    const button = document.createElement("button");
    [button.type, button.className, button.title] = ["button", "thumb", file];
    button.dataset.row = row;
    button.append(picture(row, file));
    return button;
  };
  const link = (row) => {
    const to = document.createElement("a");
    [to.href, to.textContent] = [original(row), images[row][0].split("/").at(-1)];
    return to;
  };
  const more = () => {
    for (const row of found.slice(listed, listed + STEP)) {
      const item = document.createElement("li");
      item.className = "lone";
      item.append(thumb(row), link(row));
      byId("find-list").append(item);
    }
    listed = Math.min(listed + STEP, found.length);
    byId("find-more").hidden = listed === found.length;
  };
  const list = (which, said) => {
    found = which;
    listed = 0;
    byId("find-list").replaceChildren();
    byId("find-said").textContent = said;
    more();
  };
  const count = (n) => `${n} ${n === 1 ? "image" : "images"}`;

  // All words of a query must be in a file's name, the name of its group, or its nearest words.
  const inPlace = (row) => images[row][0].startsWith(byId("place").value);
  const search = () => {
    const parts = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!parts.length) {
      list([], "");
      return;
    }
    const which = rows.filter(inPlace).filter((row) => {
      const [file, group, , , near] = images[row];
      const text = [file, names[group], ...(near ?? []).map((word) => words[word])].join(" ").toLowerCase();
      return parts.every((part) => text.includes(part));
    });
    list(which.sort((a, b) => images[b][2] - images[a][2]), `${count(which.length)} found.`);
  };
  byId("find").addEventListener("input", search);
  byId("find-more").addEventListener("click", more);

  // Folders: those of the images, and each above.
  const places = new Set();
  for (const row of rows) {
    const parts = images[row][0].split("/");
    for (let depth = 1; depth < parts.length; depth += 1) places.add(`${parts.slice(0, depth).join("/")}/`);
  }
  byId("place").append(...[...places].sort().map((place) => new Option(place, place)));
  byId("place").parentElement.hidden = places.size === 0;
  byId("place").addEventListener("change", () => {
    for (const one of all(".group .thumb")) one.closest("li").hidden = !inPlace(one.dataset.row);
    for (const point of all(".p")) point.classList.toggle("elsewhere", !inPlace(point.dataset.row));
    if (byId("place").value) byId("open-all").click();
    search();
    const n = rows.filter(inPlace).length;
    if (!byId("find").value) byId("find-said").textContent = `The groups show the ${count(n)} of this folder.`;
  });

  // The enlarged image leads to its original, and to those that are alike.
  let enlarged = null;
  window.groups.shown = (row) => {
    enlarged = row;
    byId("original").href = original(row);
    byId("alike").hidden = !images[row][5]?.length;
  };
  byId("alike").addEventListener("click", () => {
    byId("large").close();
    list(images[enlarged][5].map(String), `Alike: ${images[enlarged][0]}`);
    byId("find-title").scrollIntoView();
    byId("find-list").querySelector("button")?.focus();
  });
  for (const button of all(".others")) {
    button.addEventListener("click", () => {
      const group = Number(button.dataset.group);
      const which = rows.filter((row) => images[row][1] === group && !byId(`image-${row}`));
      list(which, `${count(which.length)} of ${names[group]} that are not shown with the group.`);
      byId("find-title").scrollIntoView();
      byId("find-list").querySelector("button")?.focus();
    });
  }
  for (const item of all(".lone[data-row]")) {
    item.querySelector(".file-name").replaceWith(link(item.dataset.row));
    item.prepend(thumb(item.dataset.row));
  }
})();
