// What is said of a sample: badges and the CNNs' probabilities.

/** The class by the taxonomy's rule, and the truth where a twin tells it. */
function drawBadges(host, sample, view, number) {
  const name = view.classes[number];
  host.replaceChildren(html("span", { class: "badge" }, swatch(view.colors[number]), `${name} by the rule`));
  const truth = sample.truth ? `${sample.truth} in truth` : "truth unknown: no twin";
  host.append(html("span", { class: "badge", id: "truth" }, truth), html("span", { class: "badge" }, `sequence ${sample.id}`));
}

/** A table: rows are the mean of a kind of CNN and its CNNs, columns classes. */
function drawProbabilities(host, place, view) {
  if (!place.runs.length) {
    host.replaceChildren(empty("No CNN predicts this sample in this taxonomy."));
    return;
  }
  const head = html("tr", {}, html("th", { scope: "col" }, "Classifiers of"));
  view.classes.forEach((name, number) => {
    const column = html("th", { scope: "col" }, swatch(view.colors[number]), name);
    column.append(html("span", { class: "true" }, number === place.class ? "true class" : "\u00a0"));
    head.append(column);
  });
  const body = html("tbody", {});
  for (const run of place.runs) {
    const shuffled = run.labels === "real" ? "" : `, ${run.labels} labels`;
    body.append(probabilityRow("mean", `${run.input.replaceAll("_", " ")}${shuffled} (mean of ${run.cnns.length})`, run.mean, view));
    if (run.labels === "real" && run.input === "attention") {
      for (const cnn of run.cnns) body.append(probabilityRow("one", cnn.name, cnn.p, view));
    }
  }
  host.replaceChildren(html("table", {}, html("thead", {}, head), body));
}

function probabilityRow(kind, name, probabilities, view) {
  const top = Math.max(...probabilities);
  const row = html("tr", { class: kind }, html("th", { scope: "row" }, name));
  probabilities.forEach((probability, number) => {
    const bar = html("span", { class: "bar", style: `--class: ${view.colors[number]}; width: ${(100 * probability).toFixed(1)}%` });
    const figure = html("span", { class: probability === top ? "number top" : "number" }, `${Math.round(100 * probability)} %`);
    row.append(html("td", {}, html("div", { class: "cell" }, html("span", { class: "track", "aria-hidden": "true" }, bar), figure)));
  });
  return row;
}
