// A region in numbers and words.

function facts(pairs) {
  return html("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));
}

/** Shows a region; without one, how to choose it, if there is `any`. */
function drawRegion(host, region, any) {
  if (!region) {
    const hint = any ? "Choose a region: a click in the text, or the keys n and p." : "The model reproduces no window of these documents.";
    host.replaceChildren(html("p", { class: "hint" }, hint));
    return;
  }
  const templates = [
    ["is_repeating", "repeating"],
    ["is_incrementing", "incrementing"],
    ["is_code", "code"],
  ].filter(([key]) => region[key]);
  const written = html("pre", { class: "quote", id: "continuation" });
  const agreed = region.agreed_text ?? "";
  const whole = region.continuation ?? "";
  const shared = whole.startsWith(agreed) ? agreed.length : 0;
  written.append(html("span", { class: "agreed" }, whole.slice(0, shared)), whole.slice(shared));
  host.replaceChildren(
    facts([
      ["Tokens", `${spoken(region.tokens)} (${spoken(region.start)} to ${spoken(region.end - 1)})`],
      ["Windows reproduced", spoken(region.windows)],
      ["log p_z, likeliest window", spoken(region.log_p_z)],
      ["p_z, likeliest window", probability(region.log_p_z)],
      ["log p_z, least likely of them", spoken(region.worst_log_p_z)],
      ...(region.log_prior_ratio === undefined
        ? []
        : [["log of p_z over its prior, after unrelated prefixes", spoken(region.log_prior_ratio)]]),
      ...study.probabilities.map((p) => [`Samples that hold it with probability ${p}`, spoken(region[`n_${p}`])]),
      ["The model’s own writing agrees for", `${spoken(region.agreed)} of ${spoken(region.written)} tokens`],
      ["Occurrences of a suffix in the documents", spoken(region.sequence_duplicates)],
      ["ROUGE-L of prefix and suffix", spoken(region.rouge_l)],
      ["Templates and code", templates.map(([, name]) => name).join(", ") || "none found"],
      ["Class by the rule, windows", region.classes],
      ...(region.cnn_class ? model().classes.map((name) => [`Probability by CNNs: ${name}`, spoken(region[`cnn_${name}`], 2)]) : []),
    ]),
  );
  host.append(...elsewhere(region));
  if (region.text === undefined) return;
  host.append(
    html("h3", {}, "Prefix that the model is given"),
    html("pre", { class: "quote", id: "prefix" }, region.prefix),
    html("h3", {}, "What the model writes; green agrees with the document"),
    written,
    html("h3", {}, "The region in the document"),
    html("pre", { class: "quote", id: "region-text" }, region.text),
  );
}

/** Other places of a region; those in documents of the page lead there. */
function elsewhere(region) {
  if (region.in_reference === undefined) return [];
  const places = (region.elsewhere ?? []).map(([corpus, name, start, tokens]) => {
    const place = corpus === "documents" ? model().documents.findIndex((shown) => shown.document === name) : -1;
    const where = `, tokens ${spoken(start)} to ${spoken(start + tokens - 1)}`;
    if (place < 0) return html("li", {}, `${name}${where}`);
    const button = html("button", { type: "button", class: "link" }, name);
    button.addEventListener("click", () => go(place, -1).then(() => reader.source && reader.goTo(start ? source.ends[start - 1] : 0)));
    return html("li", {}, button, where);
  });
  const count = `${spoken(region.in_documents)} in the documents, ${spoken(region.in_reference)} in the reference`;
  const all = region.in_documents + region.in_reference;
  return [
    html("h3", {}, "Where else it is"),
    html("p", { class: "hint" }, places.length < all ? `${count}; the first ones:` : `${count}.`),
    html("ul", { id: "elsewhere" }, ...places),
  ];
}

/** What is known of a token, in a line. */
function tokenFacts(source, token) {
  const window = source.best[token];
  const strong = (text) => html("b", {}, text);
  if (window < 0) return [`Token `, strong(spoken(token)), ": in no suffix of a window; it serves as a prefix alone, or the document ends."];
  return [
    "Token ", strong(spoken(token)), ": log p ", strong(source.steps[token] === 255 ? "< −16" : spoken(-source.steps[token] / study.nats)),
    ". Likeliest window, from token ", strong(spoken(source.offsets[window])), ": log p_z ", strong(spoken(source.logP[window])),
    ", p_z ", strong(probability(source.logP[window])), ", ", strong(`${source.matches[window]} of ${study.suffix}`),
    " tokens first choices, the longest run ", strong(String(source.longest[window])), source.extracted[window] ? "; reproduced." : ".",
    ...(source.kinds[window] ? [" By CNNs ", strong(model().classes[source.kinds[window] - 1]), `, probability ${spoken(source.sureness[window] / 255, 2)}.`] : []),
  ];
}
