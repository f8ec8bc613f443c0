/* Tables that a reader can sort by a column, filter by a word, and unfold. Without script all of it is there. */
(() => {
  const FOLDED = 12;
  const LONG = 24; // Characters of a cell that gets some width, though its table be wide.

  function valueOf(row, column) {
    const text = row.cells[column].innerText.trim();
    const number = parseFloat(text.replace(/,/g, ""));
    return Number.isNaN(number) ? text.toLowerCase() : number;
  }

  function compare(a, b) {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1; // Numbers before words and empty cells.
  }

  function improve(table) {
    const body = table.tBodies[0];
    const head = table.tHead && table.tHead.rows.length === 1 ? table.tHead.rows[0] : null;
    if (!body || !head || body.rows.length < 4) return;
    if (table.querySelector("[rowspan], [colspan]")) return;
    const rows = [...body.rows];
    let open = rows.length <= FOLDED;
    let wanted = "";
    const more = document.createElement("button");

    function show() {
      const found = [...body.rows].filter((row) => row.innerText.toLowerCase().includes(wanted) || !wanted);
      const kept = new Set(open || wanted ? found : found.slice(0, FOLDED));
      for (const row of rows) row.classList.toggle("folded", !kept.has(row));
      more.hidden = wanted !== "" || rows.length <= FOLDED;
      more.textContent = open ? `Show the first ${FOLDED} rows` : `Show all ${rows.length} rows`;
    }

    [...head.cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.className = "sort";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of head.cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keys = new Map(rows.map((row) => [row, valueOf(row, column)]));
        const filled = (row) => keys.get(row) !== "";
        const order = [...rows].sort((a, b) =>
          filled(a) && filled(b)
            ? (down ? -1 : 1) * compare(keys.get(a), keys.get(b))
            : filled(b) - filled(a));
        body.append(...order);
        show();
      });
    });

    if (rows.length > FOLDED) {
      const filter = document.createElement("input");
      filter.type = "search";
      filter.className = "table-filter";
      filter.placeholder = "Filter rows";
      filter.setAttribute("aria-label", "Filter the rows of this table");
      filter.addEventListener("input", () => {
        wanted = filter.value.trim().toLowerCase();
        show();
      });
      more.className = "table-more";
      more.addEventListener("click", () => {
        open = !open;
        show();
      });
      const box = table.closest(".pst-scrollable-table-container, div.heat, .output") || table;
      box.before(filter);
      box.after(more);
    }
    show();
  }

  function start() {
    for (const cell of document.querySelectorAll("article td")) {
      cell.classList.toggle("long", cell.textContent.trim().length > LONG);
    }
    document.querySelectorAll("article table").forEach(improve);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
