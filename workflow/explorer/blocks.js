// Maps as the page holds them: base 64 of deflated bytes, one element per block, decoded when first shown.

const decoded = new Map();

/** The bytes of a block. The newest few stay decoded, so that going back and forth costs nothing. */
async function readBlock(name) {
  if (!decoded.has(name)) {
    const text = atob(document.getElementById(name).textContent);
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    decoded.set(name, new Uint8Array(await new Response(stream).arrayBuffer()));
    if (decoded.size > 24) decoded.delete(decoded.keys().next().value);
  }
  return decoded.get(name);
}

/** The value of a level: maximum · (level / 255)², as engram.explorer.maps.dequantize has it. */
function value(level, maximum) {
  return maximum * (level / 255) * (level / 255);
}

/** One layer's packed lower triangle. */
class PackedMap {
  constructor(levels, maximum, tokens) {
    this.levels = levels;
    this.maximum = maximum;
    this.tokens = tokens;
  }

  /** Value at a query and a key; NaN above the diagonal. */
  at(query, key) {
    return key > query ? NaN : value(this.levels[(query * (query + 1)) / 2 + key], this.maximum);
  }

  /** Values of one query, from the first key to itself. */
  row(query) {
    return Array.from({ length: query + 1 }, (_, key) => this.at(query, key));
  }

  /** The largest value of the queries from `first` on. The first token can only attend to itself, always with 1. */
  largest(first) {
    const start = (first * (first + 1)) / 2;
    let level = 0;
    for (let i = start; i < this.levels.length; i++) level = Math.max(level, this.levels[i]);
    return value(level, this.maximum);
  }
}

/** The maps of a block whose bytes are (…, layers, packed): the one at position `index`. */
function mapOf(bytes, maxima, index, tokens) {
  const packed = (tokens * (tokens + 1)) / 2;
  return new PackedMap(bytes.subarray(index * packed, (index + 1) * packed), maxima, tokens);
}
