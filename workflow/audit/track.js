// Strips of documents, like tracks of genes: the likeliest window at each place, and regions below.

/** Paints a strip: `levels` as engram.auditing.page has them (0: no window), and regions as parts of the width. */
function paintStrip(canvas, levels, regions, tokens, seen) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.max(60, Math.round(canvas.clientWidth * ratio)), Math.round((canvas.clientHeight || 12) * ratio)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const style = getComputedStyle(document.documentElement);
  const context = canvas.getContext("2d");
  context.fillStyle = style.getPropertyValue("--faint");
  context.fillRect(0, 0, width, height);
  const body = Math.round(height * 0.68);
  for (let x = 0; x < levels.length; x++) {
    if (!levels[x]) continue;
    context.fillStyle = `rgb(${rampColor((levels[x] - 1) / 254).join(" ")})`;
    const left = Math.floor((x * width) / levels.length);
    context.fillRect(left, 0, Math.ceil(((x + 1) * width) / levels.length) - left, body);
  }
  for (const { start, end, class: name } of regions) {
    context.fillStyle = style.getPropertyValue(name === "Guess" ? "--guess" : "--region");
    const left = (start / tokens) * width;
    context.fillRect(left, body, Math.max(2 * ratio, ((end - start) / tokens) * width), height - body);
  }
  if (!seen) return;
  context.strokeStyle = style.getPropertyValue("--ink");
  context.lineWidth = 1.5 * ratio;
  context.strokeRect(seen[0] * width + ratio, ratio, Math.max(4 * ratio, (seen[1] - seen[0]) * width - 2 * ratio), height - 2 * ratio);
}
