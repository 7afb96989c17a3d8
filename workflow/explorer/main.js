// The page of taxonomies: its state, and what each of its controls changes.

/** Everything that decides what is seen; numbers are positions, layer from 0. */
const state = { model: 0, protocol: "", taxonomy: "", class: 0, sample: 0, layer: 0, pooling: "mean", deltaClass: 0, method: 0, scale: "sqrt" };
/** What is on screen: the maps of the state, and the token and cell that are pointed at. */
const shown = { attention: null, delta: null, attentionTop: 1, deltaTop: 1, query: null, key: undefined };

const model = () => study.models[state.model];
/** First token of every row of the model's maps, and behind them the number of tokens; null where a row is a token. */
const edges = () => model().edges || null;
/** Rows of the model's maps: the special tokens that it reads first, and the text's, or blocks of them. */
const rows = () => (edges() ? edges().length - 1 : model().samples[0].tokens.length);
const viewNumber = () => model().views.findIndex((view) => view.protocol === state.protocol && view.taxonomy === state.taxonomy);
const view = () => model().views[viewNumber()];
/** Samples of the chosen model that have the chosen class in the chosen taxonomy. */
const samples = () => model().samples.filter((sample) => sample.places[viewNumber()]?.class === state.class);
const sample = () => samples()[state.sample];
const layerCount = () => model().layers;
const deltaEntry = () => view().delta[state.method];

const onCell = (query, key) => point(query, key);
const attentionView = new MapView(one("attention-map"), "attention map; arrow keys move over its cells", onCell);
const deltaView = new MapView(one("delta-map"), "Δ map; arrow keys move over its cells", onCell);

/** Brings every choice into the range that those before it leave, and the controls in line. */
function settle() {
  const distinct = (key) => [...new Set(model().views.map((one) => one[key]))];
  if (!distinct("protocol").includes(state.protocol)) state.protocol = distinct("protocol")[0];
  if (!distinct("taxonomy").includes(state.taxonomy)) state.taxonomy = distinct("taxonomy")[0];
  state.class = clamp(state.class, view().classes.length);
  state.deltaClass = clamp(state.deltaClass, view().classes.length);
  state.method = clamp(state.method, view().delta.length);
  fill(one("model"), study.models.map((entry, i) => [i, entry.name]), state.model);
  fill(one("protocol"), distinct("protocol").map((name) => [name, name]), state.protocol);
  fill(one("taxonomy"), distinct("taxonomy").map((slug) => [slug, model().views.find((entry) => entry.taxonomy === slug).name]), state.taxonomy);
  const count = (number) => model().samples.filter((entry) => entry.places[viewNumber()]?.class === number).length;
  fill(one("class"), view().classes.map((name, i) => [i, `${name} (${count(i)})`]), state.class);
  settleSamples((entry) => entry.id);
  settleMaps();
  fill(one("delta-class"), view().classes.map((name, i) => [i, name]), state.deltaClass);
  fill(one("method"), view().delta.map((entry, i) => [i, entry.method.replaceAll("_", " ")]), state.method);
  one("method-label").hidden = view().delta.length < 2;
  one("delta-class").disabled = !view().delta.length;
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
  for (const map of [attentionView, deltaView]) map.resize(rows(), study.prefix, model().opening, edges());
  drawSample();
  const [attention, delta] = await Promise.all([allLayers("attention"), allLayers("delta")]);
  if (mine !== drawing) return;
  drawMaps(attention, delta);
  drawThumbs(attention, delta);
  drawProfile();
  drawKnockout(one("knockout"), view(), sample()?.places[viewNumber()], state.layer, setLayer);
  point(text.row(text.chosen()), undefined);
  remember();
  document.documentElement.dataset.ready = mine;
}

function drawSample() {
  const current = sample();
  const place = current?.places[viewNumber()];
  one("corpus").hidden = !current?.corpus;
  drawText(current, model().opening, "No sample of this class is in this page; raise explorer.samples in the config.", edges());
  if (!current) {
    one("probabilities").replaceChildren(empty("No sample, no prediction."));
    return;
  }
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
  one("attention-note").textContent = `of this text, layer ${state.layer + 1}, ${poolingWords()}`;
  const name = view().classes[state.deltaClass];
  one("delta-note").textContent = entry
    ? `of ${name}, layer ${state.layer + 1}: mean over ${entry.n[state.deltaClass]} samples and ${entry.cnns} CNNs, ${entry.method.replaceAll("_", " ")}`
    : view().without_delta;
  drawLegend(one("attention-legend"), "attention", shown.attentionTop, state.scale, "share of a query’s attention; ends at the layer’s largest, first query left out");
  one("delta-legend").hidden = !entry;
  drawLegend(one("delta-legend"), "delta", shown.deltaTop, state.scale, "Δ: evidence × attention; ends at the layer’s largest of all classes");
}

function drawThumbs(attention, delta) {
  drawStrip(rows(), 2, ([above, below], layer) => {
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
  if (query === null) {
    drawRest();
    return;
  }
  const tokens = sample().tokens;
  const places = keysOf(shown.attention, query, tokens, (weight) => weight.toFixed(2));
  one("readout").replaceChildren(html("b", {}, `${edges() ? "Tokens" : "Token"} ${text.rowName(query)} `), quoted(text.rowText(query, tokens)), ` ${edges() ? "look" : "looks"} in layer ${state.layer + 1} (${state.pooling} over heads) at `, ...places);
  if (key === undefined) {
    one("cell").textContent = "Move over a map for the value of a cell.";
    return;
  }
  const values = [["attention", short(shown.attention.at(query, key))]];
  if (shown.delta) values.push(["Δ", short(shown.delta.at(query, key))]);
  drawCell(query, key, tokens, values);
}

/** Brings what the address gave into range, and listens to the controls that are the page's own. Δ follows the class. */
start(() => {
  state.model = Math.min(state.model, study.models.length - 1);
  if (!location.hash) state.deltaClass = state.class;
  onChoice("model", "model", () => ({ sample: 0 }));
  onChoice("protocol", "protocol", () => ({ sample: 0 }));
  onChoice("taxonomy", "taxonomy", () => ({ class: 0, deltaClass: 0, sample: 0 }));
  onChoice("class", "class", () => ({ deltaClass: state.class, sample: 0 }));
  onChoice("delta-class", "deltaClass");
  onChoice("method", "method");
});
