// The sample's tokens, coloured by the attention of the one that is pointed at or focused.

const MARKS = { "\n": "↵", "\t": "⇥", "\r": "␍" };

/** The text of a token with its white space made visible where it would not be seen. */
function tokenText(text) {
  const parts = [];
  for (const character of text) {
    if (!(character in MARKS)) parts.push(character);
    else parts.push(html("span", { class: "mark" }, MARKS[character]), character === "\n" ? "\n" : "");
  }
  return parts;
}

/** A token in a sentence: its white space as marks. */
function quoted(text) {
  return html("code", {}, [...text].map((character) => MARKS[character] || (character === " " ? "␣" : character)).join(""));
}

/** Draws tokens that can be reached; `onToken(position)` hears of pointer and focus, `onToken(null)` of their end. */
class TextView {
  constructor(host, onToken) {
    this.host = host;
    this.onToken = onToken;
    this.tokens = [];
    this.opening = 0;
    this.edges = null;
    this.hovered = null;
    host.addEventListener("keydown", (event) => this.walk(event));
  }

  /**
   * Draws a sample: `opening` special tokens that the model reads first, the prefix, the suffix; `matched` marks tokens of a suffix that the model
   * wrote. `edges` are the first tokens of the rows of blockwise maps, and behind them the number of tokens; null where a row is a token.
   */
  draw(sample, prefix, opening, edges) {
    this.hovered = null;
    this.opening = opening;
    this.edges = edges;
    const start = opening + prefix;
    this.tokens = sample.tokens.map((text, position) => {
      const part = position < opening ? "special" : position < start ? "prefix" : "suffix";
      const state = position < start || !sample.matched ? "" : sample.matched[position - start] ? " matched" : " differs";
      const spoken = `token ${this.number(position)}, ${part}${state ? `, ${state === " matched" ? "equal to the corpus" : "differs from the corpus"}` : ""}: ${text.trim() || "white space"}`;
      const token = html("span", { class: `token ${part}${state}`, role: "button", tabindex: position ? -1 : 0, "aria-label": spoken }, ...tokenText(text));
      token.addEventListener("pointerenter", () => this.onToken((this.hovered = position)));
      token.addEventListener("pointerleave", () => {
        this.hovered = null;
        this.onToken(this.focused());
      });
      token.addEventListener("focus", () => this.onToken(position));
      token.addEventListener("blur", () => this.onToken(null));
      return token;
    });
    const border = html("span", { class: "border-mark", "aria-hidden": "true" }, "▸");
    this.host.replaceChildren(...this.tokens.slice(0, start), border, ...this.tokens.slice(start));
  }

  /** What a position is called: its number in the text, from 1; in front of the text, "bos" or "special". */
  number(position) {
    if (position >= this.opening) return String(position - this.opening + 1);
    return this.opening === 1 ? "bos" : "special";
  }

  /** The row of the maps that a token is in; null for null. */
  row(position) {
    return this.edges && position !== null ? this.edges.findIndex((edge) => edge > position) - 1 : position;
  }

  /** What a row is called: its token, or the first and the last of its tokens. */
  rowName(row) {
    if (!this.edges || this.edges[row + 1] - this.edges[row] === 1) return this.number(this.edges ? this.edges[row] : row);
    return `${this.number(this.edges[row])}–${this.number(this.edges[row + 1] - 1)}`;
  }

  /** The text of a row, of all `tokens` the first ones where they are many. */
  rowText(row, tokens) {
    if (!this.edges) return tokens[row];
    const [first, end] = this.edges.slice(row, row + 2);
    return tokens.slice(first, Math.min(end, first + 8)).join("") + (end > first + 8 ? "…" : "");
  }

  /** Position of the token that is pointed at, else of the one that has the focus, or null. */
  chosen() {
    return this.hovered ?? this.focused();
  }

  /** Position of the token that has the focus, or null. */
  focused() {
    const position = this.tokens.indexOf(document.activeElement);
    return position < 0 ? null : position;
  }

  walk(event) {
    const position = this.focused();
    const last = this.tokens.length - 1;
    const target = { ArrowLeft: position - 1, ArrowRight: position + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape" && position !== null) this.tokens[position].blur();
    if (target === undefined || position === null) return;
    event.preventDefault();
    event.stopPropagation();
    this.tokens[position].tabIndex = -1;
    const next = this.tokens[Math.max(0, Math.min(last, target))];
    next.tabIndex = 0;
    next.focus();
  }

  /** Colours the keys of a query by their values in a map of a kind; none for null. */
  light(map, query, key, scale, kind = "attention") {
    const colors = palette(kind);
    const row = query === null ? [] : map.row(query);
    const top = Math.max(...row.map(Math.abs));
    let own = 0;
    this.tokens.forEach((token, position) => {
      if (!this.edges) own = position;
      else if (position >= this.edges[own + 1]) own += 1;
      const lit = own < row.length;
      token.classList.toggle("lit", lit);
      token.classList.toggle("source", own === query || own === key);
      if (!lit) return;
      const color = colors[step(row[own], top, scale, kind)];
      token.style.setProperty("--lit", `rgb(${color.join(" ")})`);
      token.style.setProperty("--lit-ink", inkOn(color));
    });
  }
}

/** Tokens that are only read. */
function drawStill(host, texts, matched) {
  host.replaceChildren(
    ...texts.map((text, i) => html("span", { class: `token suffix ${matched[i] ? "matched" : "differs"}` }, ...tokenText(text))),
  );
}
