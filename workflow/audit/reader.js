// The text of a document in pieces, of which only those near the window are drawn: 1 MB opens and scrolls at once.

const PIECE = 1500; // characters, up to the end of a line
const LONGEST = 6000; // characters of a line that is broken

class Reader {
  constructor(host, onToken) {
    this.host = host;
    this.source = null;
    this.regions = [];
    this.chosen = -1;
    this.coloring = "window";
    this.pieces = [];
    this.watcher = new IntersectionObserver((entries) => this.appear(entries), { root: host, rootMargin: "1200px 0px" });
    for (const name of ["pointerover", "click"]) {
      host.addEventListener(name, (event) => {
        const token = event.target.closest?.("[data-t]");
        if (token) onToken(Number(token.dataset.t), event.target.closest(".region"), name);
      });
    }
  }

  /** Shows a document; null leaves `message` in its place. */
  open(source, regions, message) {
    this.watcher.disconnect();
    Object.assign(this, { source, regions, chosen: -1 });
    this.host.scrollTop = 0;
    this.pieces = source ? this.cut(source.text) : [];
    if (!source) {
      this.host.replaceChildren(html("p", { class: "left-out" }, message));
      return;
    }
    const columns = Math.max(20, Math.floor(this.host.clientWidth / 8));
    for (const piece of this.pieces) {
      piece.element = html("div", { class: "piece" });
      piece.element.style.height = `${Math.round(this.lines(piece, columns) * 22.3)}px`;
      piece.element.piece = piece;
      this.watcher.observe(piece.element);
    }
    this.host.replaceChildren(...this.pieces.map((piece) => piece.element));
  }

  cut(text) {
    const pieces = [];
    for (let start = 0; start < text.length; ) {
      let end = text.indexOf("\n", start + PIECE) + 1 || text.length;
      if (end - start > LONGEST) end = text.lastIndexOf(" ", start + LONGEST) + 1;
      if (end <= start) end = Math.min(text.length, start + LONGEST);
      pieces.push({ start, end, element: null, drawn: false });
      start = end;
    }
    return pieces;
  }

  /** About how many lines a piece takes. */
  lines(piece, columns) {
    const text = this.source.text.slice(piece.start, piece.end).replace(/\n$/, "");
    return text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / columns)), 0);
  }

  appear(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.draw(target.piece);
      else this.erase(target.piece);
    }
  }

  /** The token that holds a character, by halving. */
  tokenAt(character) {
    const { ends } = this.source;
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle] > character) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Class of a token, and what it may share an element with. */
  look(token) {
    const { best, logP, steps } = this.source;
    if (best[token] < 0) return ["bare", -1];
    if (this.coloring === "none") return ["l0", best[token]];
    if (this.coloring === "class") {
      const kind = this.source.kinds[best[token]];
      return [kind ? `k${kindPlace(kind)}` : "l0", best[token]];
    }
    const part = this.coloring === "window" ? windowPart(logP[best[token]]) : tokenPart(-steps[token] / study.nats);
    return [`l${level(part)}`, this.coloring === "window" ? best[token] : token];
  }

  draw(piece) {
    if (piece.drawn) return;
    piece.drawn = true;
    const { text, ends, tokens } = this.source;
    const parts = [];
    let host = parts;
    let [before, span, content] = [null, null, ""];
    let number = this.regions.findIndex((region) => region.end > this.tokenAt(piece.start));
    if (number < 0) number = this.regions.length;
    const close = () => {
      if (span) span.textContent = content;
      [span, content, before] = [null, "", null];
    };
    let inside = null;
    let at = piece.start;
    for (let token = this.tokenAt(at); at < piece.end; token++) {
      const end = token >= tokens ? piece.end : Math.min(ends[token], piece.end);
      while (number < this.regions.length && this.regions[number].end <= token) number++;
      const region = number < this.regions.length && this.regions[number].start <= token && token < tokens ? number : null;
      if (region !== inside) {
        close();
        inside = region;
        host = parts;
        if (region !== null) {
          const { start, end: last } = this.regions[region];
          const first = start ? ends[start - 1] : 0;
          const mark = html("mark", { class: "region", "data-region": region });
          mark.classList.toggle("starts", first >= piece.start);
          mark.classList.toggle("ends", ends[last - 1] <= piece.end);
          mark.classList.toggle("chosen", region === this.chosen);
          mark.classList.toggle("guess", this.regions[region].class === "Guess");
          parts.push(mark);
          host = { push: (element) => mark.append(element) };
        }
      }
      if (end > at) {
        const [name, group] = token >= tokens ? ["bare", -1] : this.look(token);
        if (before === null || before !== `${name} ${group}`) {
          close();
          before = `${name} ${group}`;
          span = html("span", { class: name, "data-t": token });
          host.push(span);
        }
        content += text.slice(at, end);
        at = end;
      }
    }
    close();
    piece.element.replaceChildren(...parts);
    piece.element.style.height = "";
  }

  erase(piece) {
    if (!piece.drawn) return;
    piece.element.style.height = `${piece.element.offsetHeight}px`;
    piece.element.replaceChildren();
    piece.drawn = false;
  }

  /** Draws what is drawn once more: other colours, another region. */
  redraw() {
    for (const piece of this.pieces) {
      if (!piece.drawn) continue;
      piece.drawn = false;
      this.draw(piece);
    }
  }

  /** Draws everything, for printing. */
  drawAll() {
    this.watcher.disconnect();
    for (const piece of this.pieces) this.draw(piece);
  }

  /** Goes back to drawing what is near. */
  drawNear() {
    for (const piece of this.pieces) this.watcher.observe(piece.element);
  }

  color(coloring) {
    this.coloring = coloring;
    this.redraw();
  }

  /** Scrolls to a character. What is above it is drawn first, so that it stays where it is. */
  goTo(character) {
    const place = this.pieces.findIndex((piece) => piece.end > character);
    if (place < 0) return;
    for (const piece of this.pieces.slice(Math.max(0, place - 2), place + 3)) this.draw(piece);
    const piece = this.pieces[place];
    const token = this.tokenAt(character);
    const spans = [...piece.element.querySelectorAll("[data-t]")];
    const target = spans.findLast((span) => Number(span.dataset.t) <= token) || piece.element;
    const top = target.getBoundingClientRect().top - this.host.getBoundingClientRect().top;
    this.host.scrollTop += top - 0.25 * this.host.clientHeight;
  }

  choose(number) {
    this.chosen = number;
    for (const mark of this.host.querySelectorAll(".region")) mark.classList.toggle("chosen", Number(mark.dataset.region) === number);
    if (number < 0) return;
    const { start } = this.regions[number];
    this.goTo(start ? this.source.ends[start - 1] : 0);
  }

  /** The characters that are seen, first and last. */
  seen() {
    if (!this.pieces.length) return [0, 0];
    const box = this.host.getBoundingClientRect();
    const at = (y) => {
      let [low, high] = [0, this.pieces.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.pieces[middle].element.getBoundingClientRect().bottom >= y) high = middle;
        else low = middle + 1;
      }
      const piece = this.pieces[low];
      const own = piece.element.getBoundingClientRect();
      const part = own.height ? Math.min(1, Math.max(0, (y - own.top) / own.height)) : 0;
      return piece.start + part * (piece.end - piece.start);
    };
    return [at(box.top), at(box.bottom)];
  }
}
