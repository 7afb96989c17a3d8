// Square maps over query (down) and key (across) on canvases, a pixel a cell, with their frame as SVG on top.

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, content] of Object.entries(attributes)) element.setAttribute(key, content);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

/** Paints a map; cells above the diagonal stay transparent. Without a map the canvas is emptied. */
function paint(canvas, map, kind, top, scale) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!map) return;
  const colors = palette(kind);
  const image = context.createImageData(map.tokens, map.tokens);
  for (let query = 0; query < map.tokens; query++) {
    for (let key = 0; key <= query; key++) {
      image.data.set([...colors[step(map.at(query, key), top, scale, kind)], 255], 4 * (query * map.tokens + key));
    }
  }
  context.putImageData(image, 0, 0);
}

/** A large map that can be pointed at and walked with the arrow keys. `onCell(query, key)` hears of it, `onCell(null)` of its end. */
class MapView {
  constructor(host, name, onCell) {
    this.host = host;
    this.tokens = this.opening = 0;
    this.edges = null;
    this.plot = html("div", { class: "plot" });
    this.canvas = html("canvas", { tabindex: 0, role: "img", "aria-label": name });
    host.replaceChildren(this.plot);
    new ResizeObserver(() => this.fit()).observe(host);
    this.listen(onCell);
  }

  /** Makes room for maps of `tokens` rows: `opening` special tokens, the prefix, the suffix; `edges` as in `TextView.draw`. */
  resize(tokens, prefix, opening, edges = null) {
    if (this.tokens === tokens && this.opening === opening && String(this.edges) === String(edges)) return;
    this.tokens = tokens;
    this.opening = opening;
    this.edges = edges;
    this.cell = null;
    this.canvas.width = this.canvas.height = tokens;
    const start = edges ? edges.indexOf(opening + prefix) : opening + prefix;
    const frame = svg("svg", { viewBox: `0 0 ${tokens} ${tokens}`, "aria-hidden": "true", preserveAspectRatio: "none" });
    svg("path", { class: "edge", d: `M0 0 V${tokens} H${tokens} Z` }, frame);
    svg("path", { class: "part", d: `M0 ${start} H${start} V${tokens}` }, frame);
    if (opening) svg("path", { class: "part", d: `M0 ${opening} H${opening} V${tokens}` }, frame);
    this.row = svg("rect", { class: "row", height: 1, x: 0, visibility: "hidden" }, frame);
    this.at = svg("rect", { class: "at", width: 1, height: 1, visibility: "hidden" }, frame);
    this.plot.replaceChildren(this.canvas, frame);
    /** The number of a row's token, or of its first and last. */
    const name = (row) => {
      const [begin, end] = edges ? edges.slice(row, row + 2) : [row, row + 1];
      return end - begin === 1 ? end - opening : `${begin - opening + 1}–${end - opening}`;
    };
    const first = opening ? [opening === 1 ? "bos" : "special", opening / 2] : [name(0), 0.5];
    for (const [label, row] of [first, [name(start - 1), start - 0.5], [name(tokens - 1), tokens - 0.5]]) {
      const place = `${(100 * row) / tokens}%`;
      this.plot.append(html("span", { class: "tick query", style: `top: ${place}` }, String(label)));
      this.plot.append(html("span", { class: "tick key", style: `left: ${place}` }, String(label)));
    }
    const middle = `${(50 * (start + tokens)) / tokens}%`;
    this.plot.append(html("span", { class: "tick query name", style: `top: ${middle}` }, "query"));
    this.plot.append(html("span", { class: "tick key name", style: `left: ${middle}` }, "key"));
    this.fit();
  }

  /** A cell is a whole number of pixels wide, so that cells are alike. */
  fit() {
    if (!this.tokens) return;
    const style = getComputedStyle(this.host);
    const room = this.host.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const side = this.tokens * Math.max(1, Math.min(8, Math.floor(room / this.tokens)));
    this.plot.style.width = this.plot.style.height = `${side}px`;
    this.host.parentElement.style.setProperty("--side", `${side}px`);
  }

  listen(onCell) {
    const go = (query, key) => {
      this.cell = [query, Math.min(key, query)];
      onCell(...this.cell);
    };
    this.canvas.addEventListener("pointermove", (event) => {
      const box = this.canvas.getBoundingClientRect();
      const key = Math.floor(((event.clientX - box.left) / box.width) * this.tokens);
      const query = Math.floor(((event.clientY - box.top) / box.height) * this.tokens);
      if (key >= 0 && query < this.tokens && key <= query) go(query, key);
      else onCell(null);
    });
    this.canvas.addEventListener("pointerleave", () => onCell(null));
    this.canvas.addEventListener("blur", () => onCell(null));
    this.canvas.addEventListener("keydown", (event) => {
      const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Escape") this.canvas.blur();
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      const [query, key] = this.cell || [this.tokens - 1, this.tokens - 2];
      const clamp = (number) => Math.max(0, Math.min(this.tokens - 1, number));
      go(clamp(query + move[0]), clamp(key + move[1]));
    });
  }

  /** Frames the row of a query and, where given, the cell of a key. */
  mark(query, key) {
    this.row.setAttribute("visibility", query === null ? "hidden" : "visible");
    this.at.setAttribute("visibility", query === null || key === undefined ? "hidden" : "visible");
    if (query === null) return;
    this.row.setAttribute("y", query);
    this.row.setAttribute("width", query + 1);
    this.at.setAttribute("y", query);
    this.at.setAttribute("x", key || 0);
  }
}

/** A colour bar from 0 (of a kind of either sign from −`top`) to `top` with a tick in its middle, and what its numbers are. */
function drawLegend(host, kind, top, scale, unit) {
  const bar = html("div", { class: "bar-ramp", style: `background: ${gradient(kind)}`, "aria-hidden": "true" });
  const ends = html("div", { class: "ends" });
  if (kind in SIGNED) ends.append(...[-top, 0, top].map((number) => html("span", {}, signedShort(number))));
  else for (const part of [0, scale === "sqrt" ? 0.25 : 0.5, 1]) ends.append(html("span", {}, short(part * top)));
  host.replaceChildren(bar, ends, html("div", {}, unit));
}

/** A number with three significant digits, without an exponent where it can be read without. */
function short(number) {
  if (number === 0) return "0";
  return number >= 0.001 ? String(Number(number.toPrecision(3))) : number.toExponential(1).replace("e-", " · 10⁻").replace(/\d+$/, superscript);
}

/** The same with its sign. */
function signedShort(number) {
  return `${number < 0 ? "−" : number > 0 ? "+" : ""}${short(Math.abs(number))}`;
}

function superscript(digits) {
  return [...digits].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("");
}
