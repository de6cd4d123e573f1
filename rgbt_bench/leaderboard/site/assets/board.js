// Sorting, filtering, the choice of a device, the theme and copying; the pages are whole without any of it.
"use strict";

(() => {
  const root = document.documentElement;

  // Theme: the system's, until the reader chooses.
  const toggle = document.querySelector("[data-theme-toggle]");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const sayTheme = () => {
    toggle.querySelector("[data-theme-says]").textContent = isDark() ? "Light theme" : "Dark theme";
  };
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("rgbt-bench-theme", root.dataset.theme);
    } catch {
      // chosen for this page alone
    }
    sayTheme();
  });
  prefersDark.addEventListener("change", sayTheme);
  sayTheme();

  // Copying; where the clipboard is closed to a page on a disk, the text is selected.
  for (const button of document.querySelectorAll("[data-copy]")) {
    const code = button.parentElement.querySelector("code");
    const says = button.firstChild;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        says.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        says.textContent = "Selected";
      }
      setTimeout(() => { says.textContent = "Copy"; }, 1600);
    });
  }

  const table = document.getElementById("board");
  if (!table) return;
  const headers = [...table.tHead.rows[0].cells];
  const bodies = [...table.querySelectorAll("tbody[data-rows]")].map((body) => ({ body, rows: [...body.rows] }));
  const rows = bodies.flatMap((one) => one.rows);
  let time = "";

  // Sorting: each group of rows by itself, so that unranked and reported rows never get among the ranked ones.
  const valueOf = (row, column, kind) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if (kind === "text") return (cell.dataset.v ?? cell.textContent).trim().toLocaleLowerCase() || null;
    const holder = kind === "time" ? cell.querySelector(`[data-time="${time}"]`) : cell;
    const text = holder ? holder.dataset.v : undefined;
    return text === undefined || text === "" ? null : Number(text);
  };
  const collator = new Intl.Collator("en", { numeric: true });
  const sorted = (rows_, column, kind, direction) => {
    const keyed = rows_.map((row, place) => ({ row, place, key: valueOf(row, column, kind) }));
    keyed.sort((one, other) => {
      if (one.key === null || other.key === null) {
        return (one.key === null) - (other.key === null) || one.place - other.place;
      }
      const apart = kind === "text" ? collator.compare(one.key, other.key) : one.key - other.key;
      return direction * apart || one.place - other.place;
    });
    return keyed.map((one) => one.row);
  };
  // The first rows at once, the others after they are painted: laying out a thousand takes longer than a reader waits.
  const AT_ONCE = 50;
  const MORE = 150;
  let turn = 0;
  const put = (body, ordered, now) => {
    body.replaceChildren(...ordered.slice(0, AT_ONCE));
    let placed = AT_ONCE;
    const more = () => {
      if (now !== turn || placed >= ordered.length) return;
      body.append(...ordered.slice(placed, placed + MORE));
      placed += MORE;
      requestAnimationFrame(() => setTimeout(more));
    };
    requestAnimationFrame(() => setTimeout(more));
  };
  const sortBy = (column, direction) => {
    const header = headers[column];
    turn += 1;
    for (const { body, rows: own } of bodies) {
      put(body, sorted(own, column, header.dataset.sort, direction), turn);
    }
    for (const one of headers) one.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  };
  headers.forEach((header, column) => {
    const kind = header.dataset.sort;
    if (!kind) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    const first = kind === "text" || column === 0 || "low" in header.dataset ? 1 : -1;
    button.addEventListener("click", () => {
      const now = header.getAttribute("aria-sort");
      const direction = now ? (now === "ascending" ? -1 : 1) : first;
      sortBy(column, direction);
    });
  });
  if (rows.some((row) => row.cells[0].dataset.v)) headers[0].setAttribute("aria-sort", "ascending");

  // Filtering: a row stays where its text has every word and its badge and preset are the chosen ones.
  const find = document.getElementById("find");
  const badge = document.getElementById("badge");
  const preset = document.getElementById("preset");
  const found = document.getElementById("found");
  const texts = new Map(rows.map((row) => [row, row.querySelector("th").textContent.toLocaleLowerCase()]));
  const own = rows.filter((row) => row.dataset.badge !== "reported");
  const filter = () => {
    const words = find.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const isReported = row.dataset.badge === "reported";
      const fits = words.every((word) => texts.get(row).includes(word))
        && (isReported || !badge.value || row.dataset.badge === badge.value)
        && (isReported || !preset.value || row.dataset.preset === preset.value);
      if (row.hidden === fits) row.hidden = !fits;
      shown += fits && !isReported ? 1 : 0;
    }
    found.textContent = words.length || badge.value || preset.value ? `${shown} of ${own.length} rows` : "";
  };
  if (find) {
    find.addEventListener("input", filter);
    badge.addEventListener("change", filter);
    preset.addEventListener("change", filter);
    filter();
  }

  // Times: those of one device and its conditions at a time.
  const choice = document.getElementById("time");
  const times = [...table.querySelectorAll("[data-time]")];
  const plots = [...document.querySelectorAll("[data-plot]")];
  const choose = () => {
    time = choice.value;
    for (const one of times) one.hidden = one.dataset.time !== time;
    for (const one of plots) one.hidden = one.dataset.plot !== time;
    const column = headers.findIndex((one) => one.dataset.sort === "time");
    if (headers[column].hasAttribute("aria-sort")) {
      sortBy(column, headers[column].getAttribute("aria-sort") === "ascending" ? 1 : -1);
    }
  };
  if (choice) {
    choice.addEventListener("change", choose);
    choose();
  }
})();
