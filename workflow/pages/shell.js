// What all pages share: their data, elements, colours, theme, keys, and the view in the address. A page brings its `state` and `drawTheme()`.

const study = JSON.parse(document.getElementById("study").textContent);
const one = (id) => document.getElementById(id);

/** An element with attributes and children. */
function html(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, content] of Object.entries(attributes)) element.setAttribute(key, content);
  element.append(...children);
  return element;
}

/** The bytes of base 64. */
function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** The bytes of a block, inflated. */
async function inflated(block) {
  const stream = new Blob([bytesOf(one(block).textContent)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** Whether the browser can unpack blocks, which hold `what`; where it cannot, the page says so. */
function canUnpack(what) {
  if ("DecompressionStream" in window) return true;
  one("failure").textContent = `This browser is too old to unpack the ${what}; Chrome 80, Firefox 113 and Safari 16.4 and later do.`;
  one("failure").hidden = false;
  return false;
}

/** The channels [r, g, b] of #rrggbb. */
function channels(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/** The colour [r, g, b] at a part from 0 to 1 of a ramp whose `stops` are at equal distances. */
function between(stops, part) {
  const place = part * (stops.length - 1);
  const left = Math.min(Math.floor(place), stops.length - 2);
  return stops[left].map((channel, i) => Math.round(channel + (place - left) * (stops[left + 1][i] - channel)));
}

/** Black or white, whichever is readable on a colour (WCAG relative luminance). */
function inkOn(rgb) {
  const [r, g, b] = rgb.map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#101114" : "#ffffff";
}

const theme = () => document.documentElement.dataset.theme;

/** Shows the page in a theme, "light" or "dark". */
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  one("theme").setAttribute("aria-pressed", name === "dark");
  one("theme").textContent = name === "dark" ? "Light" : "Dark";
  drawTheme();
}

const toggleTheme = () => setTheme(theme() === "dark" ? "light" : "dark");

/** Begins with the system's theme, and follows it and the button. */
function startTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => setTheme(system.matches ? "dark" : "light");
  one("theme").addEventListener("click", toggleTheme);
  system.addEventListener("change", follow);
  follow();
}

/** Keys with what they do, wherever none of the `controls` uses them itself. */
function listenToKeys(controls, actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(controls)) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** The state is in the address, so that a view can be kept or sent. Where the page is a part of a report, it cannot be. */
function remember() {
  const said = new URLSearchParams(Object.entries(state).map(([key, content]) => [key, String(content)]));
  try {
    history.replaceState(null, "", `#${said}`);
  } catch {
    return;
  }
}
