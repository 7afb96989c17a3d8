// Colours of maps, from nothing (the card's own colour) to the most, in light and in dark.

const RAMPS = {
  light: {
    attention: ["#ffffff", "#e3ecf4", "#b5d0e6", "#7eb0d5", "#4a87ba", "#355f98", "#2b3a73", "#1b1b45"],
    delta: ["#ffffff", "#fbebd6", "#f7cf9d", "#eea65f", "#d97a33", "#b1531d", "#7f3615", "#4a1d0d"],
  },
  dark: {
    attention: ["#1a1c21", "#1f2c44", "#274a72", "#33709f", "#5597c2", "#86bbda", "#bcdcec", "#f2fafd"],
    delta: ["#1a1c21", "#3a2418", "#663518", "#96501f", "#c9742c", "#eca052", "#f9cd93", "#fff5e2"],
  },
};

function channels(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/** 256 colours [r, g, b] of a kind of map in the page's theme. */
function palette(kind) {
  const stops = RAMPS[document.documentElement.dataset.theme][kind].map(channels);
  return Array.from({ length: 256 }, (_, step) => {
    const place = (step / 255) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    return stops[left].map((channel, i) => Math.round(channel + (place - left) * (stops[left + 1][i] - channel)));
  });
}

/** The colours as a CSS gradient, for legends. */
function gradient(kind) {
  return `linear-gradient(to right, ${RAMPS[document.documentElement.dataset.theme][kind].join(", ")})`;
}

/** Step 0 … 255 of a value on a scale that ends at `top`. */
function step(number, top, scale) {
  const part = top > 0 ? Math.min(1, Math.max(0, number / top)) : 0;
  return Math.round(255 * (scale === "sqrt" ? Math.sqrt(part) : part));
}

/** Black or white, whichever is readable on a colour (WCAG relative luminance). */
function inkOn(rgb) {
  const [r, g, b] = rgb.map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#101114" : "#ffffff";
}
