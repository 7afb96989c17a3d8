// Colours of maps in light and in dark: from nothing (the card's own colour) to the most, and of maps of either sign to the most on both sides.

const RAMPS = {
  light: {
    attention: ["#ffffff", "#e3ecf4", "#b5d0e6", "#7eb0d5", "#4a87ba", "#355f98", "#2b3a73", "#1b1b45"],
    delta: ["#ffffff", "#fbebd6", "#f7cf9d", "#eea65f", "#d97a33", "#b1531d", "#7f3615", "#4a1d0d"],
    right: ["#ffffff", "#ece3f4", "#d0b9e3", "#ad88cc", "#8a58b0", "#69348f", "#4a1a6b", "#2b0842"],
    wrong: ["#ffffff", "#dff1e1", "#b0dcb6", "#78bf83", "#449e56", "#23783a", "#0f5526", "#043214"],
  },
  dark: {
    attention: ["#1a1c21", "#1f2c44", "#274a72", "#33709f", "#5597c2", "#86bbda", "#bcdcec", "#f2fafd"],
    delta: ["#1a1c21", "#3a2418", "#663518", "#96501f", "#c9742c", "#eca052", "#f9cd93", "#fff5e2"],
    right: ["#1a1c21", "#2e1d3f", "#4a2a68", "#6d4096", "#9264bd", "#b893d8", "#dac6ee", "#f8f1ff"],
    wrong: ["#1a1c21", "#173322", "#1c4e30", "#266e42", "#429458", "#75b983", "#b0dcb6", "#edfbee"],
  },
};
/** Maps of either sign: the colours of what is below 0, and of what is above. Model 1 has the colours of attention, model 2 those of Δ. */
const SIGNED = { difference: ["delta", "attention"], margin: ["wrong", "right"] };

function stopsOf(kind) {
  const ramps = RAMPS[theme()];
  if (!(kind in SIGNED)) return ramps[kind];
  const [below, above] = SIGNED[kind];
  return [...[...ramps[below]].reverse(), ...ramps[above].slice(1)];
}

/** 256 colours [r, g, b] of a kind of map in the page's theme. */
function palette(kind) {
  const stops = stopsOf(kind).map(channels);
  return Array.from({ length: 256 }, (_, step) => between(stops, step / 255));
}

/** The colours as a CSS gradient, for legends. */
function gradient(kind) {
  return `linear-gradient(to right, ${stopsOf(kind).join(", ")})`;
}

/** Step 0 … 255 of a value on a scale that ends at `top`, and for a kind of either sign begins at −`top`. */
function step(number, top, scale, kind) {
  const bend = (part) => (scale === "sqrt" ? Math.sqrt(part) : part);
  const part = top > 0 ? Math.min(1, Math.max(-1, number / top)) : 0;
  if (kind in SIGNED) return Math.round(127.5 * (1 + Math.sign(part) * bend(Math.abs(part))));
  return Math.round(255 * bend(Math.max(0, part)));
}
