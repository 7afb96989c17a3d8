// What the pages of the explorer share: choices, steps from text to text, the layer, and the keys. A page brings its `state`,
// `draw()`, `point(query, key)`, `layerCount()` and `samples()`.

const clamp = (number, length) => Math.max(0, Math.min(number, length - 1));
const text = new TextView(one("tokens"), (position) => point(text.row(position), undefined));

function swatch(color) {
  return html("span", { class: "swatch", style: `--class: ${color}` });
}

function empty(text) {
  return html("p", { class: "empty" }, text);
}

function drawFacts(host, sample) {
  host.replaceChildren(...sample.facts.flatMap(([name, text]) => [html("dt", {}, name), html("dd", {}, text)]));
}

function fill(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, name]) => html("option", { value }, name)));
  select.value = String(chosen);
}

/** Brings the chosen layer into range, and the controls of the maps in line. */
function settleMaps() {
  state.layer = clamp(state.layer, layerCount());
  one("layer").max = layerCount();
  one("layer").value = state.layer + 1;
  one("layer").setAttribute("aria-valuetext", `layer ${state.layer + 1} of ${layerCount()}`);
  one("layer-number").textContent = `${state.layer + 1} of ${layerCount()}`;
  one("pooling").value = state.pooling;
  one("scale").value = state.scale;
}

/** Brings the chosen sample into range and offers all of them, each under its name. */
function settleSamples(name) {
  const entries = samples();
  state.sample = clamp(state.sample, entries.length);
  fill(one("sample"), entries.map((entry, i) => [i, `${i + 1} of ${entries.length}: ${name(entry)}`]), state.sample);
  one("sample").disabled = !entries.length;
  one("previous").disabled = state.sample <= 0;
  one("next").disabled = state.sample >= entries.length - 1;
}

let drawnSample = null;
/** Draws a sample's text unless it is there already; without a sample it says why there is none. `edges` as in `TextView.draw`. */
function drawText(sample, opening, without, edges = null) {
  if (!sample) {
    text.tokens = [];
    text.hovered = null;
    one("tokens").replaceChildren(empty(without));
    one("badges").replaceChildren();
    one("facts").replaceChildren();
  } else if (drawnSample !== sample) text.draw(sample, study.prefix, opening, edges);
  drawnSample = sample || null;
}

/** Small maps of every layer to choose from, `count` one below the other; `paintLayer(canvases, layer)` paints those of a layer. */
function drawStrip(rows, count, paintLayer) {
  const strip = one("strip");
  const layers = layerCount();
  if (strip.children.length !== layers || strip.querySelector("canvas").width !== rows) {
    strip.style.setProperty("--thumb", layers > 8 ? "48px" : "64px");
    strip.replaceChildren(
      ...Array.from({ length: layers }, (_, layer) => {
        const canvases = Array.from({ length: count }, () => html("canvas", { width: rows, height: rows, "aria-hidden": "true" }));
        const button = html("button", { type: "button", tabindex: -1, "aria-label": `layer ${layer + 1}` }, ...canvases, String(layer + 1));
        button.addEventListener("click", () => setLayer(layer));
        return button;
      }),
    );
  }
  [...strip.children].forEach((button, layer) => {
    button.setAttribute("aria-pressed", layer === state.layer);
    paintLayer(button.querySelectorAll("canvas"), layer);
  });
}

/** What the page says while nothing is pointed at. */
function drawRest() {
  one("readout").textContent = "Move over a token, or reach it with Tab and the arrow keys, to see where the model looks from there.";
  one("cell").textContent = "Move over a map for the value of a cell.";
}

/** The keys of largest absolute value for a query, each with its token and its value as `form` writes it. */
function keysOf(map, query, tokens, form) {
  const values = map.row(query).map((number, position) => [number, position]);
  const best = values.sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 4);
  return best.flatMap(([number, position], i) => [i ? ", " : "", quoted(text.rowText(position, tokens)), ` ${text.rowName(position)}: `, html("b", {}, form(number))]);
}

/** Says which cell is pointed at, and its values: [name, words]. */
function drawCell(query, key, tokens, values) {
  const parts = ["Query ", html("b", {}, text.rowName(query)), " ", quoted(text.rowText(query, tokens)), ", key ", html("b", {}, text.rowName(key))];
  parts.push(" ", quoted(text.rowText(key, tokens)), `, distance ${query - key}${text.edges ? " blocks" : ""}: `);
  values.forEach(([name, words], i) => parts.push(`${i ? ", " : ""}${name} `, html("b", {}, words)));
  one("cell").replaceChildren(...parts);
}

function poolingWords() {
  return state.pooling === "mean" ? "mean over heads" : "largest head";
}

function setLayer(layer) {
  state.layer = layer;
  draw();
}

function moveSample(by) {
  const target = state.sample + by;
  if (target < 0 || target >= samples().length) return;
  state.sample = target;
  draw();
}

function drawTheme() {
  document.documentElement.style.setProperty("--attention-ramp", gradient("attention"));
  draw();
}

function recall() {
  const said = new URLSearchParams(location.hash.slice(1));
  for (const [key, content] of said) {
    if (!(key in state)) continue;
    state[key] = typeof state[key] === "number" ? Math.max(0, Number.parseInt(content, 10) || 0) : content;
  }
  if (!["mean", "max"].includes(state.pooling)) state.pooling = "mean";
  if (!["sqrt", "linear"].includes(state.scale)) state.scale = "sqrt";
}

/** A choice that draws the page again: the state's entry gets the choice, as a number where it is one, and `others` follow. */
function onChoice(id, key, others = () => ({})) {
  one(id).addEventListener("change", (event) => {
    state[key] = typeof state[key] === "number" ? Number(event.target.value) : event.target.value;
    Object.assign(state, others());
    draw();
  });
}

function listenToPage() {
  one("choice").addEventListener("submit", (event) => event.preventDefault());
  onChoice("sample", "sample");
  onChoice("pooling", "pooling");
  onChoice("scale", "scale");
  one("previous").addEventListener("click", () => moveSample(-1));
  one("next").addEventListener("click", () => moveSample(1));
  one("layer").addEventListener("input", (event) => setLayer(Number(event.target.value) - 1));
  listenToKeys("select, input, canvas", {
    ArrowLeft: () => moveSample(-1),
    ArrowRight: () => moveSample(1),
    ArrowUp: () => setLayer(Math.max(0, state.layer - 1)),
    ArrowDown: () => setLayer(Math.min(layerCount() - 1, state.layer + 1)),
    m: () => {
      state.pooling = state.pooling === "mean" ? "max" : "mean";
      draw();
    },
    d: toggleTheme,
  });
}

/** Starts the page: `prepare()` brings the state that the address gave into range and listens to the page's own controls. */
function start(prepare) {
  one("study-name").textContent = study.study;
  if (!canUnpack("maps")) return;
  recall();
  listenToPage();
  prepare();
  startTheme();
}
