// Further tables of the audit, shown as they are.

const fewDigits = (value) => (typeof value === "number" ? spoken(value) : value === null || value === undefined ? "–" : String(value));

/** Rows of the chosen table that are of the chosen model, without the column that says so. */
function tableRows(table) {
  const place = table.columns.indexOf("model");
  const rows = table.rows.filter((row) => place < 0 || row[place] === model().name);
  const without = (row) => row.filter((_, i) => i !== place);
  return [without(table.columns), rows.map(without)];
}

function drawTable() {
  const table = study.tables[Number(one("table").value)];
  const [columns, rows] = tableRows(table);
  const linked = columns.indexOf("document");
  const cell = (value, i) => {
    if (i !== linked) return html("td", { class: typeof value === "number" ? "number" : "" }, fewDigits(value));
    const place = model().documents.findIndex((shown) => shown.document === value);
    if (place < 0) return html("td", {}, fewDigits(value));
    const button = html("button", { type: "button", class: "link" }, value);
    button.addEventListener("click", () => go(place, -1));
    return html("td", {}, button);
  };
  one("table-rows").replaceChildren(
    html("thead", {}, html("tr", {}, ...columns.map((name) => html("th", { scope: "col" }, name.replaceAll("_", " "))))),
    html("tbody", {}, ...rows.slice(0, 500).map((row) => html("tr", {}, ...row.map(cell)))),
  );
  one("table-more").textContent = rows.length > 500 ? `The first 500 of ${spoken(rows.length)} rows; the CSV has all of them.` : "";
}

function listTables() {
  const tables = study.tables ?? [];
  one("tables-card").hidden = !tables.length;
  if (!tables.length) return;
  one("table").replaceChildren(...tables.map((table, i) => html("option", { value: i }, table.title)));
  one("table").addEventListener("change", drawTable);
  one("csv-table").addEventListener("click", () => {
    const table = study.tables[Number(one("table").value)];
    download(`${table.name}.csv`, csv(...tableRows(table)));
  });
  drawTable();
}
