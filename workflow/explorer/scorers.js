// What is said of a window of a pair: its line in the list, badges, what the models make of it, and which of them the scorers name.

const STRATA = { low: "low overlap", high: "high overlap", guessed: "guessed before", templates: "template" };
const ARMS = { first: "model 1", second: "model 2", both: "both models", placebo: "neither model" };
const INPUTS = { attention_mean: "attention (mean)", attention_max: "attention (max)", suffix_log_prob: "log-probability", hidden_states: "hidden states", feed_forward: "feed-forward outputs" };

const modelColor = (number) => `var(--model-${number + 1})`;

function drawWindowBadges(host, entry) {
  const arm = ["first", "second"].indexOf(entry.arm);
  const times = entry.arm === "placebo" ? "" : `, ${entry.dose} times`;
  const shown = html("span", { class: "badge", id: "shown-to" }, ...(arm < 0 ? [] : [swatch(modelColor(arm))]), `shown to ${ARMS[entry.arm]}${times}`);
  const others = [STRATA[entry.stratum], entry.outcome, `window ${entry.id}`].map((words) => html("span", { class: "badge" }, words));
  host.replaceChildren(shown, ...others);
}

/** Columns: the base and both models; rows: showings, extraction, log-probability. */
function drawModels(host, entry, pair) {
  const names = [0, 1].map((i) => html("th", { scope: "col" }, swatch(modelColor(i)), `model ${i + 1}`, html("span", { class: "name" }, pair.models[i])));
  const base = html("th", { scope: "col" }, "base", html("span", { class: "name" }, "\u00a0"));
  const yes = (flag) => html("span", { class: flag ? "yes" : "no" }, flag ? "yes" : "no");
  const lines = [
    ["showings in drilling", "0", ...entry.exposures.map(String)],
    ["extracts the suffix", ...[entry.base_extracted, ...entry.extracted].map(yes)],
    ["log-probability of the suffix (nats per token)", "–", ...entry.suffix_log_prob.map((nats) => signedShort(nats))],
  ];
  const body = lines.map(([name, ...cells]) => html("tr", {}, html("th", { scope: "row" }, name), ...cells.map((cell) => html("td", {}, cell))));
  host.replaceChildren(html("table", { class: "compact" }, html("thead", {}, html("tr", {}, html("th", { scope: "col" }, ""), base, ...names)), html("tbody", {}, ...body)));
}

const verdict = (right) => (right === 0.5 ? "tie" : right ? "right" : "wrong");

/** A row per scorer: its score as a bar to the left or right of zero, what it says, and how often it is right. */
function drawScorers(host, entry, pair) {
  if (!entry.says) {
    host.replaceChildren(empty(`It was shown to ${ARMS[entry.arm]}: neither answer is right, and no scorer is asked.`));
    return;
  }
  const ends = html("span", { class: "ends" }, html("span", {}, "model 2"), html("span", {}, "model 1"));
  const names = ["Scorer of", ends, "names", "right in"].map((name) => html("th", { scope: "col" }, name));
  const body = html("tbody", {});
  pair.scorers.forEach((scorer, i) => {
    const leads = scorer.trained_on === pair.scorers.find((other) => other.input === scorer.input).trained_on;
    const scope = scorer.trained_on === "all" ? "" : `trained on ${scorer.trained_on}${scorer.trained_on === "natural" ? " text" : ""}`;
    const name = leads ? [INPUTS[scorer.input] || scorer.input, scope].filter(Boolean).join(", ") : scope;
    body.append(scorerRow(leads ? "mean" : "one", name, scorer, entry.says[i]));
  });
  host.replaceChildren(html("table", { class: "compact" }, html("thead", {}, html("tr", {}, ...names)), body));
}

function scorerRow(kind, name, scorer, said) {
  const number = said.score < 0 ? 1 : 0;
  const share = scorer.largest > 0 ? Math.abs(said.score) / scorer.largest : 0;
  const bar = html("span", { class: "bar", style: `--class: ${modelColor(number)}; width: ${(50 * share).toFixed(1)}%; ${number ? "right" : "left"}: 50%` });
  const track = html("span", { class: "track signed", title: `score ${signedShort(said.score)}` }, bar);
  const says = said.score === 0 ? "neither" : `model ${number + 1}`;
  const mark = verdict(said.right);
  const right = scorer.accuracy === null ? "–" : `${Math.round(100 * scorer.accuracy)} %`;
  return html("tr", { class: kind },
    html("th", { scope: "row" }, name),
    html("td", { class: "score" }, html("div", { class: "cell" }, track, html("span", { class: "number" }, signedShort(said.score)))),
    html("td", { class: "says" }, `${says} `, html("span", { class: `verdict ${mark}` }, mark)),
    html("td", {}, right),
  );
}

/** A line per window; `verdictOf(window)` is what the list's scorer makes of it, `choose(position)` shows a window. */
function drawList(host, entries, chosen, verdictOf, choose) {
  const names = ["Window", "Text", "Dose", "Shown to", "Outcome", "Named"].map((name) => html("th", { scope: "col" }, name));
  const body = html("tbody", {});
  entries.forEach((entry, i) => {
    const mark = verdictOf(entry);
    const button = html("button", { type: "button", class: "link", tabindex: -1, title: entry.label }, html("bdi", { dir: "ltr" }, entry.label));
    const line = html("tr", i === chosen ? { "aria-current": "true" } : {},
      html("th", { scope: "row" }, button),
      ...[STRATA[entry.stratum], String(entry.dose), ARMS[entry.arm], entry.outcome].map((words) => html("td", {}, words)),
      html("td", {}, html("span", { class: `verdict ${mark}` }, mark)),
    );
    line.addEventListener("click", () => choose(i));
    body.append(line);
  });
  host.replaceChildren(html("table", { class: "compact" }, html("thead", {}, html("tr", {}, ...names)), body));
  const line = body.children[chosen];
  if (line) host.scrollTop = Math.max(0, line.offsetTop - host.clientHeight / 2);
}
