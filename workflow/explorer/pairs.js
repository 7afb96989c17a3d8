// The page of crossed pairs: its state, and what each of its controls changes.

/** Everything that decides what is seen; numbers are positions, layer from 0; an empty filter lets all windows through. */
const state = { pair: 0, stratum: "", dose: "", arm: "", outcome: "", named: "", sample: 0, layer: 0, pooling: "mean", lit: "first", scale: "sqrt" };
/** What is on screen: a map of each kind, or null. */
const shown = { first: null, second: null, difference: null, delta: null };
const KINDS = { first: "attention", second: "attention", difference: "difference", delta: "margin" };
const LIT = { first: "attention of model 1", second: "attention of model 2", difference: "model 1 − model 2" };

const pair = () => study.pairs[state.pair];
const layerCount = () => pair().layers;
/** Rows of the pair's maps: the special tokens that the models read first, and the text's. */
const rows = () => pair().windows[0].tokens.length;

/** What a window counts as in each filter, and how the filter names it. A scorer's filter has a value for each input. */
const FILTERS = {
  stratum: [(entry) => [entry.stratum], (name) => STRATA[name]],
  dose: [(entry) => [String(entry.dose)], (dose) => (dose === "0" ? "0 (not shown)" : dose)],
  arm: [(entry) => [entry.arm], (name) => ARMS[name]],
  outcome: [(entry) => [entry.outcome], (name) => name],
  named: [(entry) => verdicts(entry), (name) => name],
};
/** Values of the filters in the order in which they are offered. */
const orders = () => ({
  stratum: study.strata,
  dose: [...new Set(pair().windows.map((entry) => entry.dose))].sort((a, b) => a - b).map(String),
  arm: study.arms,
  outcome: study.outcomes,
  named: [...leading().flatMap((scorer) => ["right", "wrong", "tie"].map((mark) => `${mark}: ${INPUTS[scorer.input]}`)), "not asked"],
});

/** The first scorer of every input: the one trained on all text, where there is one. */
function leading() {
  return pair().scorers.filter((scorer, i, all) => all.findIndex((other) => other.input === scorer.input) === i);
}

const verdictOf = (entry, scorer) => verdict(entry.says[pair().scorers.indexOf(scorer)].right);

function verdicts(entry) {
  return entry.says ? leading().map((scorer) => `${verdictOf(entry, scorer)}: ${INPUTS[scorer.input]}`) : ["not asked"];
}

/** Windows that pass all filters but one. */
function passing(except) {
  const active = Object.entries(FILTERS).filter(([name]) => name !== except && state[name] !== "");
  return pair().windows.filter((entry) => active.every(([name, [valuesOf]]) => valuesOf(entry).includes(state[name])));
}

const samples = () => passing();
const sample = () => samples()[state.sample];

const views = Object.fromEntries(
  Object.entries({ first: "attention of model 1", second: "attention of model 2", difference: "difference", delta: "Δ" }).map(([name, spoken]) => [
    name,
    new MapView(one(`${name}-map`), `${spoken} map; arrow keys move over its cells`, (query, key) => point(query, key)),
  ]),
);

/** Brings the controls in line with the state. A filter offers what the others leave, with numbers of windows. */
function settle() {
  fill(one("pair"), study.pairs.map((entry, i) => [i, entry.models.join(" and ")]), state.pair);
  one("pair-label").hidden = study.pairs.length < 2;
  for (const [name, [valuesOf, say]] of Object.entries(FILTERS)) {
    const left = passing(name);
    const count = (value) => left.filter((entry) => valuesOf(entry).includes(value)).length;
    const offered = orders()[name].filter((value) => count(value) || state[name] === value);
    if (!orders()[name].includes(state[name])) state[name] = "";
    fill(one(name), [["", `all (${left.length})`], ...offered.map((value) => [value, `${say(value)} (${count(value)})`])], state[name]);
  }
  one("reset").disabled = Object.keys(FILTERS).every((name) => state[name] === "");
  settleSamples((entry) => entry.id);
  settleMaps();
  fill(one("lit"), Object.entries(LIT), state.lit);
  for (const [i, name] of ["first", "second"].entries()) one(`${name}-name`).textContent = `Model ${i + 1}`;
}

/** The maps of all layers by kind; of the window none where no window passes the filters. */
async function allMaps() {
  const { layers, delta, maps, poolings } = pair();
  const numbers = Array.from({ length: layers }, (_, layer) => layer);
  const bytes = await readBlock(delta.block);
  const result = { delta: numbers.map((layer) => mapOf(bytes, delta.maxima[layer], layer, rows(), signedValue)) };
  const entry = sample();
  if (!entry) return { first: [], second: [], difference: [], ...result };
  const own = await readBlock(entry.block);
  maps.forEach((name, i) => {
    const start = (poolings.indexOf(state.pooling) * maps.length + i) * layers;
    const decode = name === "difference" ? signedValue : value;
    result[name] = numbers.map((layer) => mapOf(own, entry.maxima[state.pooling][i][layer], start + layer, rows(), decode));
  });
  return result;
}

let drawing = 0;
/** Draws everything for the state. A later call overtakes an earlier one that still waits for its maps. */
async function draw() {
  const mine = ++drawing;
  settle();
  for (const view of Object.values(views)) view.resize(rows(), study.prefix, pair().opening);
  drawWindow();
  const maps = await allMaps();
  if (mine !== drawing) return;
  drawMaps(maps);
  drawProfile();
  point(text.chosen(), undefined);
  remember();
  document.documentElement.dataset.ready = mine;
}

function drawWindow() {
  const current = sample();
  drawText(current, pair().opening, "No window in this page passes all filters; “Show all” takes them off.");
  const [scorer] = leading();
  one("list-scorer").textContent = `the scorer of ${INPUTS[scorer.input]}`;
  drawList(one("list"), samples(), state.sample, (entry) => (entry.says ? verdictOf(entry, scorer) : ""), (position) => {
    state.sample = position;
    draw();
  });
  if (!current) {
    for (const id of ["models", "scorers"]) one(id).replaceChildren(empty("No window is chosen."));
    return;
  }
  drawWindowBadges(one("badges"), current);
  drawFacts(one("facts"), current);
  drawModels(one("models"), current, pair());
  drawScorers(one("scorers"), current, pair());
}

/** Both models share a scale in each layer; differences and Δ have one scale for all layers. */
function drawMaps(maps) {
  const largest = (list, first) => Math.max(0, ...list.map((map) => map.largest(first)));
  const ofLayer = [maps.first, maps.second].flatMap((list) => list.slice(state.layer, state.layer + 1));
  const attention = largest(ofLayer, 1) || 1;
  const tops = { first: attention, second: attention, difference: largest(maps.difference, 0) || 1, delta: largest(maps.delta, 0) || 1 };
  const words = { first: pair().models[0], second: pair().models[1] };
  const notes = {
    first: `(${words.first}): attention, layer ${state.layer + 1}, ${poolingWords()}`,
    second: `(${words.second}): attention, layer ${state.layer + 1}, ${poolingWords()}`,
    difference: `attention, layer ${state.layer + 1}, ${poolingWords()}`,
    delta: `of the pair, layer ${state.layer + 1}: ${pair().delta.pooling} attention, no test window`,
  };
  const shared = "share of a query’s attention; one scale for both models: ends at the layer’s largest, first query left out";
  const units = {
    first: shared,
    second: shared,
    difference: "blue: model 1 attends more, orange: model 2; one scale for all layers of this window",
    delta: "purple: speaks for the right model, green: for the wrong one; one scale for all layers",
  };
  for (const [name, view] of Object.entries(views)) {
    shown[name] = maps[name][state.layer] || null;
    paint(view.canvas, shown[name], KINDS[name], tops[name], state.scale);
    one(`${name}-note`).textContent = notes[name];
    one(`${name}-legend`).hidden = !shown[name];
    drawLegend(one(`${name}-legend`), KINDS[name], tops[name], state.scale, units[name]);
  }
  drawStrip(rows(), 2, ([above, below], layer) => {
    paint(above, maps.difference[layer], "difference", tops.difference, state.scale);
    paint(below, maps.delta[layer], "margin", tops.delta, state.scale);
  });
  document.documentElement.style.setProperty("--lit-ramp", gradient(KINDS[state.lit]));
  one("lit-note").textContent = state.lit === "difference" ? "orange: model 2 attends more from the chosen token, blue: model 1" : `${LIT[state.lit]} from the chosen token`;
}

function drawProfile() {
  const { share, low, high } = pair().profile;
  const series = [{ name: "share of Δ", color: "var(--accent)", values: share, low, high }];
  drawCurves(one("profile"), series, { percent: true, layer: state.layer, onLayer: setLayer, label: "Share of each layer in the Δ of the pair" });
}

/** Shows where the models look from a query, and the values at a key where one is given; nothing for null. */
function point(query, key) {
  const lit = shown[state.lit];
  if (!lit || !text.tokens.length) query = null;
  for (const view of Object.values(views)) view.mark(query, key);
  if (lit) text.light(lit, query, key, state.scale, KINDS[state.lit]);
  if (query === null) {
    drawRest();
    return;
  }
  const tokens = sample().tokens;
  const differs = state.lit === "difference";
  const places = keysOf(lit, query, tokens, differs ? signedShort : (weight) => weight.toFixed(2));
  const where = `layer ${state.layer + 1} (${state.pooling} over heads)`;
  const says = differs ? `: model 1 − model 2 in ${where} is largest at ` : `: model ${state.lit === "first" ? 1 : 2} looks in ${where} at `;
  one("readout").replaceChildren(html("b", {}, `Token ${text.number(query)} `), quoted(tokens[query]), says, ...places);
  if (key === undefined) {
    one("cell").textContent = "Move over a map for the value of a cell.";
    return;
  }
  drawCell(query, key, tokens, [
    ["model 1", short(shown.first.at(query, key))],
    ["model 2", short(shown.second.at(query, key))],
    ["difference", signedShort(shown.difference.at(query, key))],
    ["Δ", signedShort(shown.delta.at(query, key))],
  ]);
}

const unfiltered = () => Object.fromEntries(Object.keys(FILTERS).map((name) => [name, ""]));

start(() => {
  state.pair = clamp(state.pair, study.pairs.length);
  if (!(state.lit in LIT)) state.lit = "first";
  one("edition").hidden = !study.whole && pair().windows.length === pair().wanted;
  one("edition").textContent = study.whole
    ? `This edition for the report has ${pair().windows.length} windows per pair; explorer_pairs.html in the study’s folder has ${study.whole}.`
    : `${pair().windows.length} of ${pair().wanted} windows per pair fit into this page; raise explorer.megabytes for more.`;
  onChoice("pair", "pair", () => ({ sample: 0 }));
  for (const name of Object.keys(FILTERS)) onChoice(name, name, () => ({ sample: 0 }));
  onChoice("lit", "lit");
  one("reset").addEventListener("click", () => {
    const entry = sample();
    Object.assign(state, unfiltered());
    state.sample = Math.max(0, samples().indexOf(entry));
    draw();
  });
});
