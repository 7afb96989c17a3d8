// Reconstruction of the open document: its numbers, a curve over its steps, and where it leaves the document.

const BOOK_MEASURES = {
  matched: "tokens at their place", rouge_l: "ROUGE-L", levenshtein: "Levenshtein similarity", jaccard: "Jaccard index", longest_common_run: "longest common run",
};
const WAYS = { true: "after the true text", own: "after its own output" };
const CHART = { width: 900, height: 190, left: 46, right: 12, top: 12, bottom: 34 };

let book = null; // of the open document, as engram.auditing.page packs it

/** The namespace of drawings, as the browser knows it. */
const SVG = (() => {
  const host = document.createElement("div");
  host.innerHTML = "<svg></svg>";
  return host.firstChild.namespaceURI;
})();

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, content] of Object.entries(attributes)) element.setAttribute(key, content);
  element.append(...children);
  return element;
}

/** The curve of one measure: a line for each way. */
function bookChart(measure) {
  const { width, height, left, right, top, bottom } = CHART;
  const most = measure === "longest_common_run" ? study.book.step : 1;
  const first = book.own.curves.start[0];
  const last = Math.max(first + 1, first + book.own.tokens);
  const x = (token) => left + ((token - first) / (last - first)) * (width - left - right);
  const y = (value) => top + (1 - value / most) * (height - top - bottom);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${BOOK_MEASURES[measure]} at every step, after the true text and after its own output` });
  for (const part of [0, 0.5, 1]) {
    chart.append(
      svg("line", { x1: left, x2: width - right, y1: y(part * most), y2: y(part * most), class: "grid" }),
      svg("text", { x: left - 6, y: y(part * most) + 4, "text-anchor": "end" }, spoken(part * most)),
    );
  }
  for (const [token, anchor] of [[first, "start"], [last, "end"]]) chart.append(svg("text", { x: x(token), y: height - bottom + 16, "text-anchor": anchor }, spoken(token)));
  chart.append(svg("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "tokens of the document"));
  for (const way of Object.keys(WAYS)) {
    const { start, [measure]: values } = book[way].curves;
    // A step's value holds from its first token to that of the next one.
    const points = values.map((value, i) => `${x(start[i])},${y(value)} ${x(start[i + 1] ?? last)},${y(value)}`);
    chart.append(svg("polyline", { points: points.join(" "), class: `curve ${way}` }));
  }
  return chart;
}

function bookTable() {
  const rows = { ...BOOK_MEASURES, exact_steps: "steps without an error", agreed: "tokens before the first error" };
  const percents = ["matched", "exact_steps"];
  const cell = (key, value) => html("td", {}, percents.includes(key) ? percent(value) : spoken(value));
  return html(
    "table",
    {},
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, ""), ...Object.values(WAYS).map((way) => html("th", { scope: "col" }, way)))),
    html(
      "tbody",
      {},
      ...Object.entries(rows).map(([key, label]) => html("tr", {}, html("th", { scope: "row" }, label), ...Object.keys(WAYS).map((way) => cell(key, book[way][key])))),
    ),
  );
}

/** What the model wrote around the first token that differs from the document. */
function departure() {
  const { own } = book;
  if (own.agreed === own.tokens) return [html("p", { class: "hint" }, "Behind its own output, the model writes the document to its last token.")];
  if (!own.written_text && !own.true_text) return [];
  return [
    html("h3", {}, `Where its own output leaves the document, ${spoken(own.agreed)} tokens behind the prefix`),
    html("pre", { class: "quote", id: "book-written" }, html("span", { class: "agreed" }, own.agreed_text), own.written_text),
    html("h3", {}, "The document there"),
    html("pre", { class: "quote", id: "book-true" }, own.true_text),
  ];
}

function drawBook() {
  one("book-card").hidden = !book;
  if (!book) return;
  one("book-title").textContent = `Reconstruction of ${entry().document}`;
  one("book-summary").textContent =
    `${spoken(book.own.tokens)} tokens behind the first ${spoken(study.book.prefix)}, in ${spoken(book.own.steps)} steps of ${spoken(study.book.step)}; every step continues ` +
    `the last ${spoken(study.book.prefix)} tokens, of the document or of what the model has written.`;
  one("book-chart").replaceChildren(bookChart(one("book-measure").value));
  one("book-facts").replaceChildren(bookTable());
  one("book-text").replaceChildren(...departure());
}
