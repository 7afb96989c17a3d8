// Colours of log-probabilities, from the card's own colour to the most likely, in light and in dark.

const RAMPS = {
  light: ["#ffffff", "#e8f0f7", "#cadff0", "#a3c9e6", "#76add8", "#4a8cc2", "#2d68a3", "#1e4880"],
  dark: ["#1a1c21", "#1d2836", "#213a55", "#295378", "#35719f", "#5093c0", "#86bbdb", "#c6e2f1"],
};
const LEVELS = 32;
/** Colours of the classes by CNNs, in the order of the classes; readable with the ink of the theme. */
const KINDS = {
  light: ["#d9dce2", "#f6cf7e", "#9cc9ef", "#b9dfa6", "#e6b4dc", "#f3b3a2", "#bcd9d5", "#d7c9f2"],
  dark: ["#3c414c", "#6f5314", "#1f4f7c", "#33582a", "#66385d", "#74402f", "#2c534e", "#4a3c74"],
};

/** The colour [r, g, b] of a part from 0 to 1 of the ramp. */
function rampColor(part) {
  return between(RAMPS[theme()].map(channels), Math.min(1, Math.max(0, part)));
}

/** Part 0 … 1 of a window: log p_z from −2 nats a token to 0. */
const windowPart = (logP) => Math.max(0, 1 + logP / (2 * study.suffix));
/** Part 0 … 1 of a token: log p from −6 nats to 0. */
const tokenPart = (logP) => Math.max(0, 1 + logP / 6);
const level = (part) => Math.round(part * (LEVELS - 1));

/** The place of a class's colour. */
const kindPlace = (kind) => (kind - 1) % KINDS.light.length;

/** The style of the text's colours. */
const levelStyle = html("style", {});
document.head.append(levelStyle);

/** Writes the classes l0 … l31 and k0 … k7 of the theme, so that a change of theme touches no text. */
function writeLevels() {
  const rules = Array.from({ length: LEVELS }, (_, i) => {
    const color = rampColor(i / (LEVELS - 1));
    return i ? `.l${i}{background:rgb(${color.join(" ")});color:${inkOn(color)}}` : "";
  });
  const kinds = KINDS[theme()].map((color, i) => `.k${i}{background:${color};color:${inkOn(channels(color))}}`);
  levelStyle.textContent = [...rules, ...kinds].join("");
  document.documentElement.style.setProperty("--ramp", `linear-gradient(to right, ${RAMPS[theme()].join(", ")})`);
}
