// Curves over layers.

const CHART = { width: 560, height: 210, left: 44, right: 12, top: 10, bottom: 34 };

/**
 * Lines over layers with bands.
 * series: [{name, color, values (layers), low, high}]; options: {unit, percent, layer, onLayer, label}
 */
function drawCurves(host, series, options) {
  const layers = series[0].values.length;
  const every = series.flatMap((one) => [...one.values, ...(one.low || []), ...(one.high || [])]).filter(Number.isFinite);
  const ticks = niceTicks(Math.min(0, ...every), Math.max(0, ...every));
  const [bottom, top] = [ticks[0], ticks[ticks.length - 1]];
  const { width, height } = CHART;
  const right = width - CHART.right;
  const floor = height - CHART.bottom;
  const x = (layer) => (layers === 1 ? (CHART.left + right) / 2 : CHART.left + 14 + (layer / (layers - 1)) * (right - CHART.left - 28));
  const y = (number) => CHART.top + ((top - number) / (top - bottom)) * (floor - CHART.top);
  const chart = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": options.label });
  for (const tick of ticks) {
    svg("line", { class: tick ? "grid" : "axis", x1: CHART.left, x2: right, y1: y(tick), y2: y(tick) }, chart);
    svg("text", { x: CHART.left - 6, y: y(tick) + 4, "text-anchor": "end" }, chart, options.percent ? `${Math.round(100 * tick)} %` : short(Math.abs(tick)).replace(/^/, tick < 0 ? "−" : ""));
  }
  const stride = Math.ceil(layers / 12);
  for (let layer = 0; layer < layers; layer++) {
    if (layer % stride === 0 || layer === layers - 1) svg("text", { x: x(layer), y: floor + 16, "text-anchor": "middle" }, chart, layer + 1);
  }
  svg("text", { x: (CHART.left + right) / 2, y: height - 3, "text-anchor": "middle" }, chart, "layer");
  svg("line", { class: "now", x1: x(options.layer), x2: x(options.layer), y1: CHART.top, y2: floor }, chart);
  for (const one of series) {
    const group = svg("g", { style: `--class: ${one.color}` }, chart);
    if (one.low) {
      const up = one.high.map((number, layer) => `${x(layer)},${y(number)}`);
      const down = one.low.map((number, layer) => `${x(layer)},${y(number)}`).reverse();
      svg("polygon", { class: "band", points: [...up, ...down].join(" ") }, group);
    }
    svg("polyline", { class: "line", points: one.values.map((number, layer) => `${x(layer)},${y(number)}`).join(" ") }, group);
    one.values.forEach((number, layer) => svg("circle", { class: "dot", cx: x(layer), cy: y(number), r: layers > 16 ? 2 : 3.2 }, group));
  }
  const reach = layers === 1 ? right - CHART.left : (right - CHART.left - 28) / (layers - 1);
  for (let layer = 0; layer < layers; layer++) {
    const hit = svg("rect", { class: "hit", x: x(layer) - reach / 2, width: reach, y: CHART.top, height: floor - CHART.top }, chart);
    svg("title", {}, hit, `layer ${layer + 1}\n${series.map((one) => `${one.name}: ${options.percent ? `${(100 * one.values[layer]).toFixed(1)} %` : short(one.values[layer])}`).join("\n")}`);
    hit.addEventListener("click", () => options.onLayer(layer));
  }
  const keys = html("ul", { class: "keys" });
  for (const one of series) keys.append(html("li", {}, html("span", { class: "swatch", style: `--class: ${one.color}` }), one.name));
  host.replaceChildren(...(options.unit ? [html("p", { class: "caption" }, options.unit)] : []), chart, keys);
}

/** Four to seven round ticks that hold both numbers. */
function niceTicks(least, most) {
  const range = most - least || 1;
  const power = 10 ** Math.floor(Math.log10(range / 4));
  const width = [1, 2, 5, 10].map((factor) => factor * power).find((one) => range / one <= 6);
  const first = Math.floor(least / width + 1e-9);
  const last = Math.max(first + 1, Math.ceil(most / width - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * width).toPrecision(12)));
}
