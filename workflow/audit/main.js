// The page's state, and what each control changes.

/** Numbers are places in the data; region −1 is none. */
const state = { model: 0, document: -1, region: -1, color: "window", order: "recalled" };
/** Share of a document in regions that are not guessed. */
const recalled = (shown) => (shown.scored_tokens ? (shown.region_tokens - (shown.tokens_Guess ?? 0)) / shown.scored_tokens : -1);
const ORDERS = {
  recalled: (a, b) => recalled(b) - recalled(a) || b.region_tokens - a.region_tokens,
  share: (a, b) => (b.share_in_regions ?? -1) - (a.share_in_regions ?? -1) || b.region_tokens - a.region_tokens,
  name: (a, b) => a.document.localeCompare(b.document, "en", { numeric: true }),
  tokens: (a, b) => b.tokens - a.tokens,
};
const COLORS = ["window", "token", "class", "none"];
/** The colourings that the model has. */
const colors = () => COLORS.filter((name) => name !== "class" || model().classes.length);

const model = () => study.models[state.model];
const entry = () => model().documents[state.document];
let ordered = []; // places of the documents in the list's order
let source = null; // the open document

const reader = new Reader(one("text"), (token, region, event) => {
  one("readout").replaceChildren(...tokenFacts(source, token));
  if (event === "click" && region) choose(Number(region.dataset.region), false);
});
const strips = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) drawStrip(target);
});

function drawStrip(canvas) {
  const shown = model().documents[Number(canvas.dataset.document)];
  if (shown) paintStrip(canvas, bytesOf(shown.strip), shown.found, shown.tokens, null);
}

function drawList() {
  strips.disconnect();
  const documents = model().documents;
  ordered = documents.map((_, place) => place).sort((a, b) => ORDERS[state.order](documents[a], documents[b]) || a - b);
  one("documents").replaceChildren(
    ...ordered.map((place) => {
      const shown = documents[place];
      const canvas = html("canvas", { "data-document": place, height: 12, "aria-hidden": "true" });
      const guessed = shown.tokens_Guess ? ` + ${percent(shown.tokens_Guess / shown.scored_tokens)}` : "";
      const share = shown.windows ? percent(recalled(shown)) : "too short";
      const spokenShare = shown.windows
        ? `${shown.document}: ${share} of its text reproduced${guessed ? `,${guessed} that can be guessed` : ""}, ${shown.regions} regions`
        : `${shown.document}: ${share}`;
      const button = html(
        "button",
        { type: "button", "data-document": place, class: shown.regions ? "some" : "none", "aria-label": spokenShare, title: spokenShare },
        html("span", { class: "name" }, shown.document),
        html("span", { class: "share" }, share, html("span", { class: "guessed" }, guessed)),
        canvas,
      );
      button.addEventListener("click", () => go(place, -1));
      strips.observe(canvas);
      return html("li", {}, button);
    }),
  );
  const sum = (key) => documents.reduce((total, shown) => total + shown[key], 0);
  const share = sum("scored_tokens") ? percent(sum("region_tokens") / sum("scored_tokens")) : "–";
  one("total").textContent =
    `${spoken(documents.length)} documents, ${spoken(sum("windows"))} windows, ${spoken(sum("extracted"))} of them reproduced. ` +
    `${spoken(sum("regions"))} regions hold ${share} of the scored text.`;
  markCurrent();
}

function markCurrent() {
  for (const button of one("documents").querySelectorAll("button")) {
    const current = Number(button.dataset.document) === state.document;
    button.setAttribute("aria-current", current);
    if (current) button.scrollIntoView({ block: "nearest" });
  }
}

let opening = 0;
/** Opens a document, and goes to one of its regions. A later call overtakes an earlier one that still unpacks. */
async function go(place, region) {
  const mine = ++opening;
  if (place !== state.document || !reader.pieces.length) {
    const shown = model().documents[place];
    const loaded = shown.block ? await openDocument(shown.block) : null;
    const reconstructed = shown.book ? JSON.parse(new TextDecoder().decode(await inflated(shown.book))) : null;
    if (mine !== opening) return;
    const guessed = shown.tokens_Guess ? `, ${percent(shown.tokens_Guess / shown.scored_tokens)} of the scored text in regions that can be guessed` : "";
    Object.assign(state, { document: place, region: -1 });
    source = loaded;
    book = reconstructed;
    const message = study.redacted
      ? "Texts are left out of this audit (audit.redact); positions and scores are in it."
      : shown.windows
      ? "The text of this document is not in the page, which would exceed audit.megabytes; its numbers are."
      : "This document is shorter than a window.";
    reader.open(source && source.text ? source : null, shown.found, message);
    one("csv-windows").disabled = !source;
    one("text-title").textContent = shown.document;
    one("readout").replaceChildren();
    const shares = study.thresholds.map((p) => `p_z ≥ ${p}: ${percent(shown[`share_p_${p}`])}`).join(", ");
    one("summary").textContent = shown.windows
      ? `${spoken(shown.tokens)} tokens. ${spoken(shown.extracted)} of ${spoken(shown.windows)} windows reproduced (${percent(shown.share_extracted)}); ` +
        (shown.regions
          ? `${spoken(shown.regions)} regions with ${percent(shown.share_in_regions)} of the scored text, the longest of ${spoken(shown.longest_region)} tokens${guessed}. `
          : `No region; the likeliest window has log p_z ${spoken(shown.best_log_p_z)}. `) +
        `Windows with ${shares}.`
      : `${spoken(shown.tokens)} tokens: shorter than a window of ${study.prefix + study.suffix}.`;
    drawBook();
    markCurrent();
  }
  choose(region, true);
}

/** Chooses a region of the open document; −1 none. */
function choose(number, scroll) {
  state.region = number;
  if (scroll || number < 0) reader.choose(reader.source ? number : -1);
  else {
    reader.chosen = number;
    for (const mark of one("text").querySelectorAll(".region")) mark.classList.toggle("chosen", Number(mark.dataset.region) === number);
  }
  const regions = entry().found;
  one("place").textContent = regions.length ? (number < 0 ? `${spoken(regions.length)} regions` : `region ${number + 1} of ${spoken(regions.length)}`) : "no region";
  one("region-title").textContent = number < 0 ? "Region" : `Region ${number + 1}`;
  const any = model().documents.some((shown) => shown.found.length);
  drawRegion(one("region"), regions[number], any);
  one("next").disabled = one("previous").disabled = !any;
  drawTrack();
  remember();
  document.documentElement.dataset.ready = String(opening);
}

function drawTrack() {
  const shown = entry();
  const part = reader.pieces.length ? reader.seen().map((character) => reader.tokenAt(character) / Math.max(1, source.tokens)) : null;
  paintStrip(one("track"), bytesOf(shown.strip), shown.found, Math.max(1, shown.tokens), part);
}

/** The next region in the list's order of documents, or the one before; around the end. */
function step(by) {
  const documents = model().documents;
  const regions = entry().found.length;
  if (state.region < 0 && by < 0 && regions) return go(state.document, regions - 1);
  const target = state.region + by;
  if (target >= 0 && target < regions) return go(state.document, target);
  const start = ordered.indexOf(state.document);
  for (let i = 1; i <= ordered.length; i++) {
    const place = ordered[(start + by * i + ordered.length * i) % ordered.length];
    const found = documents[place].found.length;
    if (found) return go(place, by > 0 ? 0 : found - 1);
  }
}

function stepDocument(by) {
  const place = ordered[ordered.indexOf(state.document) + by];
  if (place !== undefined) go(place, -1);
}

function setColor(color) {
  state.color = color;
  one("color").value = color;
  const ramp = color === "window" || color === "token";
  one("legend").querySelector(".ramp").hidden = !ramp;
  one("legend-least").textContent = { window: `log p_z ≤ ${-2 * study.suffix}`, token: "log p ≤ −6" }[color]?.replace("-", "−") ?? "";
  one("legend-most").textContent = ramp ? "0" : "";
  const kinds = color === "class" ? model().classes.map((name, i) => html("span", { class: `kind k${kindPlace(i + 1)}` }, name)) : [];
  one("legend-classes").replaceChildren(...kinds);
  reader.color(color);
  remember();
}

/** Offers the colourings that the model has; what it lacks is left for the first one. */
function offerColors() {
  const classes = model().classes.length > 0;
  one("color").querySelector("[value=class]").hidden = one("color").querySelector("[value=class]").disabled = !classes;
  one("about-classes").hidden = !classes;
  setColor(colors().includes(state.color) ? state.color : "window");
}

function drawTheme() {
  writeLevels();
  for (const canvas of one("documents").querySelectorAll("canvas")) {
    strips.unobserve(canvas);
    strips.observe(canvas);
  }
  if (state.document >= 0) drawTrack();
}

function recall() {
  for (const [key, content] of new URLSearchParams(location.hash.slice(1))) {
    if (key in state) state[key] = typeof state[key] === "number" ? Number.parseInt(content, 10) : content;
  }
  if (!study.models[state.model]) state.model = 0;
  if (!(state.order in ORDERS)) state.order = "recalled";
  if (!colors().includes(state.color)) state.color = "window";
  if (!model().documents[state.document]) Object.assign(state, { document: -1, region: -1 });
  if (!(state.region < (entry()?.found.length ?? 0))) state.region = -1;
}

function listen() {
  one("model").addEventListener("change", (event) => {
    Object.assign(state, { model: Number(event.target.value), document: -1, region: -1 });
    reader.pieces = [];
    offerColors();
    drawList();
    if (study.tables?.length) drawTable();
    go(ordered[0], -1);
  });
  one("book-measure").addEventListener("change", drawBook);
  one("order").addEventListener("change", (event) => {
    state.order = event.target.value;
    drawList();
    remember();
  });
  one("previous").addEventListener("click", () => step(-1));
  one("next").addEventListener("click", () => step(1));
  one("color").addEventListener("change", (event) => setColor(event.target.value));
  one("track").addEventListener("click", (event) => {
    if (!reader.source) return;
    const box = event.target.getBoundingClientRect();
    const token = Math.floor(((event.clientX - box.left) / box.width) * source.tokens);
    reader.goTo(token ? source.ends[Math.min(source.tokens, token) - 1] : 0);
  });
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      drawTrack();
    });
  };
  one("text").addEventListener("scroll", later, { passive: true });
  window.addEventListener("resize", later);
  const tables = { documents: () => model().documents, regions: () => model().documents.flatMap((shown) => shown.found) };
  for (const [name, rows] of Object.entries(tables)) {
    one(`csv-${name}`).addEventListener("click", () => download(`${name}.csv`, tableCsv(rows())));
  }
  one("csv-windows").addEventListener("click", () => download("windows.csv", windowsCsv(entry().document, source)));
  window.addEventListener("beforeprint", () => reader.drawAll());
  window.addEventListener("afterprint", () => reader.drawNear());
  listenToKeys("select, input", {
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
    n: () => step(1),
    p: () => step(-1),
    j: () => stepDocument(1),
    k: () => stepDocument(-1),
    c: () => setColor(colors()[(colors().indexOf(state.color) + 1) % colors().length]),
    d: toggleTheme,
    Escape: () => choose(-1, false),
  });
}

function start() {
  one("study-name").textContent = study.study;
  if (!canUnpack("documents")) return;
  recall();
  one("window-text").textContent = `given ${study.prefix} tokens, asked for the next ${study.suffix}, a window every ${spoken(model().stride)} tokens`;
  one("model").replaceChildren(...study.models.map(({ name }, i) => html("option", { value: i }, name)));
  one("model").value = state.model;
  one("order").value = state.order;
  startTheme();
  listen();
  listTables();
  drawList();
  offerColors();
  const wanted = { ...state };
  state.document = -1;
  go(wanted.document >= 0 ? wanted.document : ordered[0], wanted.region);
}

start();
