// The page's state, and what each control changes.

const study = JSON.parse(document.getElementById("study").textContent);
const one = (id) => document.getElementById(id);

/** Everything that decides what is seen; numbers are positions, layer from 0. */
const state = { model: 0, protocol: "", taxonomy: "", class: 0, sample: 0, layer: 0, pooling: "mean", deltaClass: 0, method: 0, scale: "sqrt" };
/** What is on screen: the maps of the state, and the token and cell that are pointed at. */
const shown = { attention: null, delta: null, attentionTop: 1, deltaTop: 1, query: null, key: undefined };

const model = () => study.models[state.model];
/** Rows of the model's maps: the special tokens that it reads first, and the text's. */
const rows = () => model().samples[0].tokens.length;
const viewNumber = () => model().views.findIndex((view) => view.protocol === state.protocol && view.taxonomy === state.taxonomy);
const view = () => model().views[viewNumber()];
/** Samples of the chosen model that have the chosen class in the chosen taxonomy. */
const candidates = () => model().samples.filter((sample) => sample.places[viewNumber()]?.class === state.class);
const sample = () => candidates()[state.sample];
const deltaEntry = () => view().delta[state.method];

const text = new TextView(one("tokens"), (position) => point(position, undefined));
const onCell = (query, key) => point(query, key);
const attentionView = new MapView(one("attention-map"), "attention map; arrow keys move over its cells", onCell);
const deltaView = new MapView(one("delta-map"), "Δ map; arrow keys move over its cells", onCell);

function fill(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, name]) => html("option", { value }, name)));
  select.value = String(chosen);
}

/** Brings every choice into the range that those before it leave, and the controls in line. */
function settle() {
  const distinct = (key) => [...new Set(model().views.map((one) => one[key]))];
  if (!distinct("protocol").includes(state.protocol)) state.protocol = distinct("protocol")[0];
  if (!distinct("taxonomy").includes(state.taxonomy)) state.taxonomy = distinct("taxonomy")[0];
  const clamp = (number, length) => Math.max(0, Math.min(number, length - 1));
  state.class = clamp(state.class, view().classes.length);
  state.sample = clamp(state.sample, candidates().length);
  state.layer = clamp(state.layer, model().layers);
  state.deltaClass = clamp(state.deltaClass, view().classes.length);
  state.method = clamp(state.method, view().delta.length);
  fill(one("model"), study.models.map((entry, i) => [i, entry.name]), state.model);
  fill(one("protocol"), distinct("protocol").map((name) => [name, name]), state.protocol);
  fill(one("taxonomy"), distinct("taxonomy").map((slug) => [slug, model().views.find((entry) => entry.taxonomy === slug).name]), state.taxonomy);
  const count = (number) => model().samples.filter((entry) => entry.places[viewNumber()]?.class === number).length;
  fill(one("class"), view().classes.map((name, i) => [i, `${name} (${count(i)})`]), state.class);
  fill(one("sample"), candidates().map((entry, i) => [i, `${i + 1} of ${candidates().length}: ${entry.id}`]), state.sample);
  fill(one("delta-class"), view().classes.map((name, i) => [i, name]), state.deltaClass);
  fill(one("method"), view().delta.map((entry, i) => [i, entry.method.replaceAll("_", " ")]), state.method);
  one("method-label").hidden = view().delta.length < 2;
  one("delta-class").disabled = !view().delta.length;
  one("layer").max = model().layers;
  one("layer").value = state.layer + 1;
  one("layer").setAttribute("aria-valuetext", `layer ${state.layer + 1} of ${model().layers}`);
  one("layer-number").textContent = `${state.layer + 1} of ${model().layers}`;
  one("pooling").value = state.pooling;
  one("scale").value = state.scale;
  one("sample").disabled = !candidates().length;
  one("previous").disabled = state.sample <= 0;
  one("next").disabled = state.sample >= candidates().length - 1;
}

/** The maps of all layers of one kind; empty where there are none. */
async function allLayers(kind) {
  const layers = Array.from({ length: model().layers }, (_, layer) => layer);
  if (kind === "attention") {
    if (!sample()) return [];
    const bytes = await readBlock(sample().block);
    const start = model().poolings.indexOf(state.pooling) * model().layers;
    return layers.map((layer) => mapOf(bytes, sample().maxima[state.pooling][layer], start + layer, rows()));
  }
  if (!deltaEntry()) return [];
  const bytes = await readBlock(deltaEntry().block);
  const start = state.deltaClass * model().layers;
  return layers.map((layer) => mapOf(bytes, deltaEntry().maxima[state.deltaClass][layer], start + layer, rows()));
}

let drawing = 0;
/** Draws everything for the state. A later call overtakes an earlier one that still waits for its maps. */
async function draw() {
  const mine = ++drawing;
  settle();
  for (const map of [attentionView, deltaView]) map.resize(rows(), study.prefix, model().opening);
  drawSample();
  const [attention, delta] = await Promise.all([allLayers("attention"), allLayers("delta")]);
  if (mine !== drawing) return;
  drawMaps(attention, delta);
  drawStrip(attention, delta);
  drawProfile();
  drawKnockout(one("knockout"), view(), sample()?.places[viewNumber()], state.layer, setLayer);
  point(text.chosen(), undefined);
  remember();
  document.documentElement.dataset.ready = mine;
}

let drawnSample = null;
function drawSample() {
  const current = sample();
  const place = current?.places[viewNumber()];
  one("corpus").hidden = !current?.corpus;
  if (!current) {
    drawnSample = null;
    text.tokens = [];
    text.hovered = null;
    one("tokens").replaceChildren(empty("No sample of this class is in this page; raise explorer.samples in the config."));
    one("badges").replaceChildren();
    one("facts").replaceChildren();
    one("probabilities").replaceChildren(empty("No sample, no prediction."));
    return;
  }
  if (drawnSample !== current) text.draw(current, study.prefix, model().opening);
  drawnSample = current;
  if (current.corpus) drawStill(one("corpus-tokens"), current.corpus, current.matched);
  drawBadges(one("badges"), current, view(), place.class);
  drawFacts(one("facts"), current);
  drawProbabilities(one("probabilities"), place, view());
}

function drawMaps(attention, delta) {
  shown.attention = attention[state.layer] || null;
  shown.delta = delta[state.layer] || null;
  shown.attentionTop = shown.attention ? shown.attention.largest(1) : 1;
  const entry = deltaEntry();
  shown.deltaTop = entry ? Math.max(...entry.maxima.map((layers) => layers[state.layer])) : 1;
  paint(attentionView.canvas, shown.attention, "attention", shown.attentionTop, state.scale);
  paint(deltaView.canvas, shown.delta, "delta", shown.deltaTop, state.scale);
  one("attention-note").textContent = `of this text, layer ${state.layer + 1}, ${state.pooling === "mean" ? "mean over heads" : "largest head"}`;
  const name = view().classes[state.deltaClass];
  one("delta-note").textContent = entry
    ? `of ${name}, layer ${state.layer + 1}: mean over ${entry.n[state.deltaClass]} samples and ${entry.cnns} CNNs, ${entry.method.replaceAll("_", " ")}`
    : view().without_delta;
  drawLegend(one("attention-legend"), "attention", shown.attentionTop, state.scale, "share of a query’s attention; ends at the layer’s largest, first query left out");
  one("delta-legend").hidden = !entry;
  drawLegend(one("delta-legend"), "delta", shown.deltaTop, state.scale, "Δ: evidence × attention; ends at the layer’s largest of all classes");
}

/** Small maps of every layer to choose from. */
function drawStrip(attention, delta) {
  const strip = one("strip");
  const layers = model().layers;
  if (strip.children.length !== layers || strip.querySelector("canvas").width !== rows()) {
    strip.style.setProperty("--thumb", layers > 8 ? "48px" : "64px");
    strip.replaceChildren(
      ...Array.from({ length: layers }, (_, layer) => {
        const canvases = [0, 1].map(() => html("canvas", { width: rows(), height: rows(), "aria-hidden": "true" }));
        const button = html("button", { type: "button", tabindex: -1, "aria-label": `layer ${layer + 1}` }, ...canvases, String(layer + 1));
        button.addEventListener("click", () => setLayer(layer));
        return button;
      }),
    );
  }
  [...strip.children].forEach((button, layer) => {
    button.setAttribute("aria-pressed", layer === state.layer);
    const [above, below] = button.querySelectorAll("canvas");
    const top = deltaEntry() ? Math.max(...deltaEntry().maxima.map((maxima) => maxima[layer])) : 1;
    paint(above, attention[layer], "attention", attention[layer]?.largest(1), state.scale);
    paint(below, delta[layer], "delta", top, state.scale);
    below.hidden = !delta.length;
  });
}

function drawProfile() {
  const entry = deltaEntry();
  if (!entry) {
    one("profile").replaceChildren(empty(view().without_delta));
    return;
  }
  const series = view().classes.map((name, i) => ({ name, color: view().colors[i], values: entry.share[i], low: entry.low[i], high: entry.high[i] }));
  drawCurves(one("profile"), series, { percent: true, layer: state.layer, onLayer: setLayer, label: "Share of each layer in the Δ of every class" });
}

/** Shows where a query attends, and the value at a key where one is given; nothing for null. */
function point(query, key) {
  if (!shown.attention || !text.tokens.length) query = null;
  shown.query = query;
  for (const map of [attentionView, deltaView]) map.mark(query, key);
  if (shown.attention) text.light(shown.attention, query, key, state.scale);
  const readout = one("readout");
  const cell = one("cell");
  if (query === null) {
    readout.textContent = "Move over a token, or reach it with Tab and the arrow keys, to see where the model looks from there.";
    cell.textContent = "Move over a map for the value of a cell.";
    return;
  }
  const tokens = sample().tokens;
  const row = shown.attention.row(query);
  const best = row.map((weight, position) => [weight, position]).sort((a, b) => b[0] - a[0]).slice(0, 4);
  readout.replaceChildren(html("b", {}, `Token ${text.number(query)} `), quoted(tokens[query]), ` looks in layer ${state.layer + 1} (${state.pooling} over heads) at `);
  best.forEach(([weight, position], i) => readout.append(i ? ", " : "", quoted(tokens[position]), ` ${text.number(position)}: `, html("b", {}, weight.toFixed(2))));
  if (key === undefined) {
    cell.textContent = "Move over a map for the value of a cell.";
    return;
  }
  cell.replaceChildren("Query ", html("b", {}, text.number(query)), " ", quoted(tokens[query]), ", key ", html("b", {}, text.number(key)), " ", quoted(tokens[key]), `, distance ${query - key}: attention `, html("b", {}, short(shown.attention.at(query, key))));
  if (shown.delta) cell.append(", Δ ", html("b", {}, short(shown.delta.at(query, key))));
}

function setLayer(layer) {
  state.layer = layer;
  draw();
}

/** A new class or sample: Δ follows the class. */
function choose(changes) {
  Object.assign(state, changes);
  if ("class" in changes) state.deltaClass = state.class;
  draw();
}

function moveSample(by) {
  const target = state.sample + by;
  if (target >= 0 && target < candidates().length) choose({ sample: target });
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.documentElement.style.setProperty("--attention-ramp", gradient("attention"));
  one("theme").setAttribute("aria-pressed", theme === "dark");
  one("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

function toggleTheme() {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  draw();
}

/** The state stands in the address, so that a view can be kept or sent. Where the page is a part of a report, it cannot. */
function remember() {
  const said = new URLSearchParams(Object.entries(state).map(([key, content]) => [key, String(content)]));
  try {
    history.replaceState(null, "", `#${said}`);
  } catch {
    return;
  }
}

function recall() {
  const said = new URLSearchParams(location.hash.slice(1));
  for (const [key, content] of said) {
    if (!(key in state)) continue;
    state[key] = typeof state[key] === "number" ? Math.max(0, Number.parseInt(content, 10) || 0) : content;
  }
  state.model = Math.min(state.model, study.models.length - 1);
  if (!model().poolings.includes(state.pooling)) state.pooling = "mean";
  if (!["sqrt", "linear"].includes(state.scale)) state.scale = "sqrt";
}

function listen() {
  const number = (event) => Number(event.target.value);
  one("choice").addEventListener("submit", (event) => event.preventDefault());
  one("model").addEventListener("change", (event) => choose({ model: number(event), sample: 0 }));
  one("protocol").addEventListener("change", (event) => choose({ protocol: event.target.value, sample: 0 }));
  one("taxonomy").addEventListener("change", (event) => choose({ taxonomy: event.target.value, class: 0, sample: 0 }));
  one("class").addEventListener("change", (event) => choose({ class: number(event), sample: 0 }));
  one("sample").addEventListener("change", (event) => choose({ sample: number(event) }));
  one("previous").addEventListener("click", () => moveSample(-1));
  one("next").addEventListener("click", () => moveSample(1));
  one("layer").addEventListener("input", (event) => setLayer(number(event) - 1));
  one("pooling").addEventListener("change", (event) => choose({ pooling: event.target.value }));
  one("delta-class").addEventListener("change", (event) => choose({ deltaClass: number(event) }));
  one("method").addEventListener("change", (event) => choose({ method: number(event) }));
  one("scale").addEventListener("change", (event) => choose({ scale: event.target.value }));
  one("theme").addEventListener("click", toggleTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    setTheme(event.matches ? "dark" : "light");
    draw();
  });
  document.addEventListener("keydown", onKey);
}

/** Keys that work wherever no control uses them itself. */
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, canvas")) return;
  const layers = model().layers;
  const action = {
    ArrowLeft: () => moveSample(-1),
    ArrowRight: () => moveSample(1),
    ArrowUp: () => setLayer(Math.max(0, state.layer - 1)),
    ArrowDown: () => setLayer(Math.min(layers - 1, state.layer + 1)),
    m: () => choose({ pooling: state.pooling === "mean" ? "max" : "mean" }),
    d: toggleTheme,
  }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function start() {
  one("study-name").textContent = study.study;
  if (!("DecompressionStream" in window)) {
    one("failure").textContent = "This browser is too old to unpack the maps; Chrome 80, Firefox 113 and Safari 16.4 and later do.";
    one("failure").hidden = false;
    return;
  }
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  recall();
  listen();
  state.deltaClass = location.hash ? state.deltaClass : state.class;
  draw();
}

start();
