(() => {
  "use strict";
  const { names, images, held, none: noneAtFirst } = window.groups;
  const byId = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const rows = Object.keys(images);
  const groupsAtFirst = Object.fromEntries(rows.map((row) => [row, images[row][1]]));
  const namesAtFirst = [...names];
  const NEW = "new";
  const NONE = "none of these";
  const chosen = new Set();
  const undone = [];
  let none = noneAtFirst;
  let saved = true;
  const editing = () => document.documentElement.classList.contains("editing");
  const box = (group) => byId(`group-${group + 1}`);
  const pickOf = (group) => document.querySelector(`.pick[data-group="${group}"]`);
  const membersOf = (group) => rows.filter((row) => images[row][1] === group);

  // Groups that a correction adds.
  const addGroup = (name) => {
    const group = names.push(name) - 1;
    const made = byId("new-group").content.cloneNode(true);
    const [article, item] = [made.querySelector("article"), made.querySelector("li.entry")];
    article.id = `group-${group + 1}`;
    article.setAttribute("aria-labelledby", `name-${group + 1}`);
    article.querySelector("h3").id = `name-${group + 1}`;
    article.querySelector(".grid").id = `grid-${group + 1}`;
    article.querySelector(".rank").textContent = group + 1;
    item.querySelector(".pick").dataset.group = group;
    item.querySelector(".rank").textContent = group + 1;
    item.querySelector(".go").href = `#group-${group + 1}`;
    all(".group").at(-1).after(article);
    document.querySelector(".legend").append(item);
    return group;
  };
  const show = () => {
    const sizes = names.map(() => 0);
    for (const row of rows) sizes[images[row][1]] += 1;
    const options = names.map((name, group) => [group, `${group + 1} ${name}`]);
    names.forEach((name, group) => {
      const [article, pick, size] = [box(group), pickOf(group), sizes[group]];
      const count = `${size} ${size === 1 ? "image" : "images"}`;
      article.hidden = pick.closest("li").hidden = size === 0;
      article.querySelector(".title").textContent = pick.querySelector(".name").textContent = name;
      article.querySelector(".size").textContent = count;
      pick.querySelector(".count").textContent = size;
      pick.setAttribute("aria-label", `Group ${group + 1}, ${name}, ${count}`);
      article.querySelector(".all").textContent = `Choose all ${size}`;
      article.querySelector(".all").setAttribute("aria-label", `Choose all ${size} of ${name}`);
      article.querySelector(".rename").setAttribute("aria-label", `Rename group ${group + 1}, ${name}`);
      const toggle = article.querySelector(".toggle");
      if (toggle) [toggle.dataset.size, toggle.dataset.name] = [size, name];
    });
    const kept = options.filter(([group]) => sizes[group] && group !== none);
    kept.push([NEW, "a new group"], [NONE, NONE]);
    const to = byId("move-to");
    const before = to.value;
    to.replaceChildren(...kept.map(([value, text]) => new Option(text, value)));
    if (kept.some(([value]) => String(value) === before)) to.value = before;
    tell();
  };
  const tell = (said = "") => {
    const n = chosen.size;
    byId("edit-said").textContent = `${said} ${n} ${n === 1 ? "image" : "images"} chosen.`.trim();
    byId("move").disabled = byId("choose-none").disabled = n === 0;
    byId("undo").disabled = undone.length === 0;
    for (const thumb of all(".thumb")) {
      if (editing()) thumb.setAttribute("aria-pressed", chosen.has(thumb.dataset.row));
      else thumb.removeAttribute("aria-pressed");
      thumb.draggable = editing();
    }
  };

  // Each change knows how to be undone.
  const place = (row, group) => {
    images[row][1] = group;
    const item = byId(`image-${row}`)?.closest("li");
    if (item) box(group).querySelector(".grid").prepend(item);
    const point = document.querySelector(`.p[data-row="${row}"]`);
    if (point) point.dataset.group = group;
  };
  const changed = (undo) => {
    undone.push(undo);
    saved = false;
  };
  const move = (to) => {
    const which = [...chosen];
    if (!which.length) return;
    if (to === NONE && none < 0) none = addGroup(NONE);
    const group = to === NONE ? none : to === NEW ? addGroup(`new group ${names.length + 1}`) : Number(to);
    const were = which.map((row) => [row, images[row][1]]);
    const put = (pairs) => pairs.forEach(([row, where]) => place(row, where));
    put(which.map((row) => [row, group]));
    changed(() => put(were));
    for (const [, from] of [...were, [0, group]]) box(from).querySelector(".mean")?.remove();
    chosen.clear();
    show();
    tell(`Moved ${which.length} to ${names[group]}.`);
    if (to === NEW) rename(group);
  };
  const rename = (group) => {
    const title = box(group).querySelector(".title");
    const before = names[group];
    const input = document.createElement("input");
    input.value = before;
    input.setAttribute("aria-label", `Name of group ${group + 1}`);
    let open = true;
    const end = (keep) => {
      if (!open) return;
      open = false;
      const name = input.value.trim().replace(/\s+/g, " ");
      input.replaceWith(title);
      if (keep && name && name !== before) {
        names[group] = name;
        changed(() => { names[group] = before; });
      }
      show();
      box(group).querySelector(".rename").focus();
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      // Else the key would press the button that now has the focus.
      event.preventDefault();
      end(event.key === "Enter");
    });
    input.addEventListener("blur", () => end(true));
    title.replaceWith(input);
    input.select();
    input.focus();
  };

  // Only groups that differ from what was found, or were held to before, are written.
  const edits = () => {
    const touched = new Set(held);
    names.forEach((name, group) => name !== namesAtFirst[group] && touched.add(group));
    for (const row of rows) {
      if (images[row][1] !== groupsAtFirst[row]) touched.add(images[row][1]).add(groupsAtFirst[row]);
    }
    const filesOf = (group) => membersOf(group).map((row) => images[row][0]);
    const groups = [...touched].sort((a, b) => a - b)
      .filter((group) => group !== none && membersOf(group).length)
      .map((group) => {
        const number = group < namesAtFirst.length ? { number: group + 1 } : {};
        return { ...number, name: names[group], files: filesOf(group) };
      });
    return { format: "mvlib edits 1", groups, none: none < 0 ? [] : filesOf(none) };
  };
  const save = () => {
    const text = `${JSON.stringify(edits(), null, 1)}\n`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "edits.json";
    link.click();
    saved = true;
    tell("Saved as edits.json: give it to mvlib cluster by --edits.");
  };

  byId("edit").addEventListener("click", (event) => {
    const on = document.documentElement.classList.toggle("editing");
    event.currentTarget.setAttribute("aria-pressed", on);
    byId("edit-bar").hidden = !on;
    for (const tools of all(".edit-tools")) tools.hidden = !on;
    chosen.clear();
    show();
  });
  byId("move").addEventListener("click", () => {
    const to = byId("move-to").value;
    move(to);
    if (to !== NEW) byId("move-to").focus();
  });
  byId("choose-none").addEventListener("click", () => {
    chosen.clear();
    tell();
  });
  byId("undo").addEventListener("click", () => {
    undone.pop()();
    saved = undone.length === 0;
    show();
  });
  byId("save").addEventListener("click", save);
  window.addEventListener("beforeunload", (event) => saved || event.preventDefault());
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const article = button?.closest(".group");
    const group = article ? Number(article.id.slice(6)) - 1 : -1;
    if (button?.matches(".rename")) rename(group);
    if (button?.matches(".all")) {
      for (const row of membersOf(group)) chosen.add(row);
      tell();
    }
    if (!editing() || !button?.matches(".thumb")) return;
    event.stopPropagation();
    const { row } = button.dataset;
    if (!chosen.delete(row)) chosen.add(row);
    tell();
  }, true);
  document.addEventListener("keydown", (event) => {
    if (!editing() || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "m" && event.target.matches(".thumb")) {
      event.preventDefault();
      byId("move-to").focus();
    }
  });

  // Dragging one image takes all chosen ones with it, if it is one of them.
  const target = (event) => {
    const [article, entry] = [event.target.closest?.(".group"), event.target.closest?.(".legend li")];
    return editing() && chosen.size ? article ?? entry : null;
  };
  const light = (lit) => all(".over").concat(lit ?? []).forEach((one) => one.classList.toggle("over", one === lit));
  document.addEventListener("dragstart", (event) => {
    const thumb = event.target.closest?.(".thumb");
    if (!editing() || !thumb) return;
    if (!chosen.has(thumb.dataset.row)) {
      chosen.clear();
      chosen.add(thumb.dataset.row);
      tell();
    }
    event.dataTransfer.setData("text/plain", "");
    event.dataTransfer.effectAllowed = "move";
  });
  document.addEventListener("dragover", (event) => {
    light(target(event));
    if (target(event)) event.preventDefault();
  });
  document.addEventListener("dragend", () => light(null));
  document.addEventListener("drop", (event) => {
    const where = target(event);
    if (!where) return;
    event.preventDefault();
    light(null);
    const group = where.matches(".group") ? Number(where.id.slice(6)) - 1 : Number(where.querySelector(".pick").dataset.group);
    move(group === none ? NONE : group);
  });
})();
