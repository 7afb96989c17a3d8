// Tables as CSV, made of what the page holds.

function csvField(value) {
  if (value === null || value === undefined) return "";
  const text = String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv(columns, rows) {
  return [columns, ...rows].map((row) => row.map(csvField).join(",")).join("\n") + "\n";
}

function download(name, text) {
  const link = html("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Rows of objects as CSV, without the keys that are the page's own. */
function tableCsv(rows) {
  const columns = rows.length ? Object.keys(rows[0]).filter((key) => !["block", "book", "strip", "found", "elsewhere"].includes(key)) : [];
  return csv(columns, rows.map((row) => columns.map((key) => row[key])));
}

function windowsCsv(name, source) {
  const classes = model().classes;
  const columns = ["document", "offset", "log_p_z", "matched_tokens", "longest_match", "extracted"].concat(classes.length ? ["cnn_class", "cnn_probability"] : []);
  const kind = (i) => (source.kinds[i] ? [classes[source.kinds[i] - 1], (source.sureness[i] / 255).toFixed(2)] : ["", ""]);
  const rows = Array.from(source.offsets, (offset, i) => [
    name, offset, source.logP[i], source.matches[i], source.longest[i], source.extracted[i] ? "True" : "False",
    ...(classes.length ? kind(i) : []),
  ]);
  return csv(columns, rows);
}
