(() => {
  "use strict";
  const root = document.documentElement;

  // Theme: the system's until the reader chooses. The choice is stored where the browser allows it for a file.
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* a private window */ } };
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  const toggle = document.getElementById("theme");
  const nameToggle = () => { toggle.textContent = isDark() ? "Light" : "Dark"; };
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
    nameToggle();
  });
  nameToggle();

  // Tables: a heading sorts by the first number of its cells, or by text; a third click restores the order.
  const key = (cell) => {
    const text = cell.textContent.trim().replace(/\u2212/g, "-");
    const number = parseFloat(text.replace(/,/g, "").match(/^[<>=+ ]*(-?\d[\d.]*(e[+-]?\d+)?)/i)?.[1]);
    return text === "\u2013" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const order = (a, b) => {
    if (a === null || b === null) return null;
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  };
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    if (original.length < 3) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { none: "descending", descending: "ascending", ascending: "none" }[head.ariaSort || "none"];
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        if (next === "none") return body.append(...original);
        head.ariaSort = next;
        const sign = next === "ascending" ? 1 : -1;
        const keyed = original.map((row) => [key(row.cells[column]), row]);
        keyed.sort(([a], [b]) => order(a, b) === null ? (a === null) - (b === null) : sign * order(a, b));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  // Figures: the library and the figures are unpacked once the page is shown.
  const plots = [...document.querySelectorAll(".plot")];
  const packed = document.getElementById("library");
  if (!plots.length || !packed) return;

  const unpacked = (element) => {
    const bytes = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const loadLibrary = async () => {
    const script = document.createElement("script");
    script.textContent = await unpacked(packed);
    document.head.append(script);
    packed.remove();
  };

  // Brushing: a box over an axis keeps the lines that pass through it; boxes on several axes combine.
  const brush = (plot) => {
    const kept = new Map();
    const show = () => {
      const inside = (trace) => [...kept].every(([axis, [low, high]]) => trace.y[axis] !== null && trace.y[axis] >= low && trace.y[axis] <= high);
      Plotly.restyle(plot, { opacity: plot.data.map((trace) => (inside(trace) ? 1 : 0.06)) });
      const n = plot.data.filter(inside).length;
      plot.closest("figure").querySelector(".brushed").textContent = kept.size ? `${n} of ${plot.data.length} trials in the boxes; double-click to show all.` : "";
    };
    plot.on("plotly_selected", (event) => {
      if (!event || !event.range) return;
      const [left, right] = event.range.x;
      const [low, high] = event.range.y;
      const axes = plot.data[0].x.filter((axis) => axis >= left && axis <= right);
      for (const axis of axes) kept.set(axis, [low, high]);
      show();
    });
    plot.on("plotly_deselect", () => { kept.clear(); show(); });
  };

  // On paper a picture of the figure stands in: it fits the sheet, also where the figure scrolls or its fold is closed.
  const addPaper = async (plot) => {
    const picture = new Image();
    picture.className = "onpaper";
    picture.alt = plot.getAttribute("aria-label");
    const [width, height] = [Math.max(800, 0.7 * parseInt(plot.style.minWidth)), parseInt(plot.style.height)];
    picture.src = await Plotly.toImage(plot, { format: "svg", width, height });
    plot.after(picture);
  };

  const draw = async () => {
    await loadLibrary();
    for (const plot of plots) {
      const { data, layout } = JSON.parse(await unpacked(plot.querySelector("script")));
      plot.replaceChildren();
      await Plotly.newPlot(plot, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
      if (plot.dataset.brush) brush(plot);
      plot.classList.add("drawn");
    }
    // A figure in a closed fold has no width yet.
    for (const fold of document.querySelectorAll("details")) {
      fold.addEventListener("toggle", () => { for (const plot of fold.querySelectorAll(".plot")) Plotly.Plots.resize(plot); });
    }
    for (const plot of plots) await addPaper(plot);
  };
  draw().catch((error) => {
    for (const plot of plots) if (!plot.classList.contains("drawn")) plot.textContent = `This browser cannot draw the figure (${error.message}); its numbers are in the file named below.`;
  });
})();
