// What removing attention from the language model costs each class, and this sample.

const LOSSES = {
  suffix_log_prob: ["log-probability of the suffix (nats per token)", 1],
  extracted: ["exact extraction (percentage points)", 100],
  matched_fraction: ["matched tokens (percentage points)", 100],
};
const OPERATIONS = { remove: "its heads put out nothing", mean: "its heads put out their mean" };
const CONTROLS = { control_cells: "random, as many cells", control_mass: "random, as much attention" };
const removal = { measure: "suffix_log_prob", operation: "" };

/** view.knockout as engram.explorer.knockout.read_knockout has it; `place.knockout` the same of the sample, where it was knocked out. */
function drawKnockout(host, view, place, layer, onLayer) {
  const entry = view.knockout;
  if (!entry) {
    host.replaceChildren(empty("No knock-out was computed for this taxonomy; see knockout.taxonomies in the config."));
    return;
  }
  if (!entry.operations.includes(removal.operation)) removal.operation = entry.operations[0];
  const again = () => drawKnockout(host, view, place, layer, onLayer);
  const [unit, factor] = LOSSES[removal.measure];
  const curves = html("div", {});
  host.replaceChildren(knockoutChoices(entry, again), curves);
  const found = entry.layers[removal.operation][removal.measure];
  const scaled = (rows) => rows.map((number) => factor * number);
  const series = view.classes.map((name, i) => ({
    name: `${name} (n = ${entry.n[i]})`, color: view.colors[i], values: scaled(found.loss[i]), low: scaled(found.low[i]), high: scaled(found.high[i]),
  }));
  const own = place?.knockout?.[removal.operation];
  if (own) series.push({ name: "this sample", color: "var(--focus)", values: scaled(own[removal.measure]) });
  drawCurves(curves, series, { layer, onLayer, unit: `Each layer alone: loss of ${unit}`, label: `Loss of ${unit} when a layer is removed` });
  if (!own) curves.append(html("p", { class: "caption" }, "This sample is not among those that were knocked out one by one."));
  const heads = entry.heads[removal.operation][removal.measure];
  if (heads[0].some((row) => row.length)) host.append(html("h3", {}, "Each head alone"), headMaps(heads, view, factor));
  const regions = entry.regions.filter((one) => one.operation === removal.operation);
  if (regions.length) host.append(html("h3", {}, "Regions of largest Δ"), regionTable(regions, view, factor));
  host.append(html("p", { class: "caption" }, "Loss: the intact model’s value less the damaged one’s, on test samples; bands and brackets are intervals over texts. Random regions: mean over the draws, with the least and largest."));
}

function knockoutChoices(entry, again) {
  const measure = html("select", { id: "measure" }, ...Object.entries(LOSSES).map(([key, [name]]) => html("option", { value: key }, name)));
  const operation = html("select", { id: "operation" }, ...entry.operations.map((name) => html("option", { value: name }, OPERATIONS[name] || name)));
  measure.value = removal.measure;
  operation.value = removal.operation;
  for (const [key, select] of Object.entries({ measure, operation })) {
    select.addEventListener("change", () => {
      removal[key] = select.value;
      again();
      one(key).focus();
    });
  }
  return html("div", { class: "map-controls" }, html("label", {}, "Loss of ", measure), html("label", {}, "What is removed: ", operation));
}

/** One small map per class: layers down, heads across, and the costliest heads in words. */
function headMaps(heads, view, factor) {
  const top = Math.max(...heads.flat(2), 0);
  const colors = palette("delta");
  const maps = heads.map((rows, kind) => {
    const width = Math.max(...rows.map((row) => row.length));
    const canvas = html("canvas", { class: "head-map", width, height: rows.length, role: "img", "aria-label": `loss by layer and head, ${view.classes[kind]}` });
    canvas.style.aspectRatio = `${width} / ${rows.length}`;
    canvas.style.width = `${width * Math.max(4, Math.min(22, Math.floor(150 / width)))}px`;
    const image = canvas.getContext("2d").createImageData(width, rows.length);
    rows.forEach((row, layer) => row.forEach((loss, head) => image.data.set([...colors[step(loss, top, "linear")], 255], 4 * (layer * width + head))));
    canvas.getContext("2d").putImageData(image, 0, 0);
    const ranked = rows.flatMap((row, layer) => row.map((loss, head) => [loss, `${layer + 1}.${head + 1}`])).sort((a, b) => b[0] - a[0]);
    const words = ranked.slice(0, 3).map(([loss, name]) => `${name}: ${signed(factor * loss)}`).join(", ");
    return html("div", { class: "head-figure" }, html("p", {}, swatch(view.colors[kind]), view.classes[kind]), canvas, html("p", { class: "caption" }, `costliest (layer.head): ${words}`));
  });
  const note = `Layers down, heads across; from 0 (or a gain) to ${signed(factor * top)}, the largest loss of any class.`;
  return html("div", {}, html("div", { class: "head-maps" }, ...maps), html("p", { class: "caption" }, note));
}

function signed(number) {
  return `${number < 0 ? "−" : ""}${Math.abs(number) < 10 ? Math.abs(number).toFixed(2) : Math.abs(number).toFixed(1)}`;
}

function regionTable(regions, view, factor) {
  const head = html("tr", {}, html("th", { scope: "col" }, "Removed"), ...view.classes.map((name, i) => html("th", { scope: "col" }, swatch(view.colors[i]), name)));
  const body = html("tbody", {});
  const line = (kind, name, rows, form) => {
    body.append(html("tr", { class: kind }, html("th", { scope: "row" }, name), ...rows.map((row) => html("td", {}, form(row.map((number) => factor * number))))));
  };
  for (const region of regions) {
    line("mean", `Δ of ${region.region}, ${short(100 * region.size)} % of cells`, region.loss[removal.measure], ([loss, low, high]) => `${signed(loss)} [${signed(low)}, ${signed(high)}]`);
    for (const [kind, losses] of Object.entries(region.controls)) {
      line("control", CONTROLS[kind] || kind, losses[removal.measure], ([least, mean, most]) => `${signed(mean)} (${signed(least)} to ${signed(most)})`);
    }
  }
  return html("div", { class: "scroller" }, html("table", { class: "regions" }, html("thead", {}, head), body));
}
