"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  function made(name, text, className) {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  // charts: what the nearest place says, by pointer and by arrow keys
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const stops = data.charts[figure.dataset.chart];
    const plot = figure.querySelector(".plot"), svg = figure.querySelector("svg");
    const tip = figure.querySelector(".tip"), cursor = figure.querySelector(".cursor");
    let current = -1;
    const show = (index) => {
      if (index < 0 || index >= stops.length) return;
      current = index;
      const [x, , text] = stops[index];
      tip.textContent = text;
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.style.visibility = "visible";
    };
    plot.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      let best = -1, least = Infinity;
      stops.forEach(([sx, sy], index) => {
        const distance = Math.hypot(sx - x, sy === null ? 0 : sy - y);
        if (distance < least) { least = distance; best = index; }
      });
      show(best);
    });
    plot.addEventListener("pointerleave", () => { cursor.style.visibility = "hidden"; });
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      show(current < 0 ? (step > 0 ? 0 : stops.length - 1) : Math.min(Math.max(current + step, 0), stops.length - 1));
    });
  }

  // tables: sorted by a column
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        const rows = [...table.tBodies[0].rows].map((row) => {
          const cell = row.cells[column], value = cell.dataset.v;
          return { row, number: value === undefined || value === "" ? NaN : Number(value), text: cell.textContent.trim() };
        });
        rows.sort((a, b) => {
          const one = Number.isNaN(a.number), other = Number.isNaN(b.number);
          if (one !== other) return one ? 1 : -1;
          if (one) return sign * a.text.localeCompare(b.text, undefined, { numeric: true });
          return sign * (a.number - b.number);
        });
        heads.forEach((each) => each.querySelector("button") && each.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        table.tBodies[0].append(...rows.map((each) => each.row));
      });
    });
  }

  // confusion: the images of a cell
  const panel = document.getElementById("cell");
  const picture = (position) => {
    const shown = document.getElementById(`image-${position}`);
    const source = shown ? shown.src : data.pictures[position];
    if (!source) return null;
    const image = made("img");
    image.src = source;
    image.alt = "";
    if (data.small) image.className = "small";
    return image;
  };
  const open = (button) => {
    for (const each of document.querySelectorAll("button[data-cell]")) each.setAttribute("aria-pressed", String(each === button));
    const [label, answer] = button.dataset.cell.split(","), [count, members] = data.cells[button.dataset.cell];
    const list = made("ul", undefined, data.wide ? "images wide" : "images");
    for (const position of members) {
      const [name, sure] = data.samples[position], item = made("li"), image = picture(position);
      if (image) item.append(image, made("br"));
      item.append(made("span", name), made("br"), made("span", `${sure} sure`, "soft"));
      list.append(item);
    }
    const words = label === answer ? `${data.names[label]}, found` : `${data.names[label]}, taken for ${data.names[answer]}`;
    const more = members.length < count ? `, ${members.length} of them here` : "";
    panel.replaceChildren(made("h3", `${words}: ${count} ${count === 1 ? data.noun.replace(/s$/, "") : data.noun}${more}`), list);
    panel.scrollIntoView({ block: "nearest" });
  };
  for (const button of document.querySelectorAll("button[data-cell]")) {
    button.addEventListener("click", () => open(button));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (!step || !button.closest(".matrix")) return;
      let [row, column] = button.dataset.cell.split(",").map(Number);
      for (;;) {  // to the next cell that has images
        row += step[0];
        column += step[1];
        const size = button.closest("tbody").rows.length;
        if (row < 0 || column < 0 || row >= size || column >= size) return;
        const next = document.querySelector(`.matrix button[data-cell="${row},${column}"]`);
        if (next) {
          event.preventDefault();
          next.focus();
          return;
        }
      }
    });
  }
})();
