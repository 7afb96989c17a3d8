// Maps as the page holds them: base 64 of deflated bytes, one element per block, decoded when first shown.

const decoded = new Map();

/** The bytes of a block. The newest few stay decoded, so that going back and forth costs nothing. */
async function readBlock(name) {
  if (!decoded.has(name)) {
    decoded.set(name, new Uint8Array(await inflated(name)));
    if (decoded.size > 24) decoded.delete(decoded.keys().next().value);
  }
  return decoded.get(name);
}

/** The value of a level: maximum · (level / 255)², for the bytes of engram.explorer.maps.quantize. */
function value(level, maximum) {
  return maximum * (level / 255) * (level / 255);
}

/** The same of a map of either sign, for the bytes of engram.explorer.maps.quantize_signed: level 128 is 0. */
function signedValue(level, maximum) {
  const part = (level - 128) / 127;
  return maximum * part * Math.abs(part);
}

/** One layer's packed lower triangle; `decode` makes values of levels. */
class PackedMap {
  constructor(levels, maximum, tokens, decode) {
    this.levels = levels;
    this.maximum = maximum;
    this.tokens = tokens;
    this.decode = decode;
  }

  /** Value at a query and a key; NaN above the diagonal. */
  at(query, key) {
    return key > query ? NaN : this.decode(this.levels[(query * (query + 1)) / 2 + key], this.maximum);
  }

  /** Values of one query, from the first key to itself. */
  row(query) {
    return Array.from({ length: query + 1 }, (_, key) => this.at(query, key));
  }

  /** The largest absolute value of the queries from `first` on. The first token can only attend to itself, always with 1. */
  largest(first) {
    const start = (first * (first + 1)) / 2;
    let most = 0;
    for (let i = start; i < this.levels.length; i++) most = Math.max(most, Math.abs(this.decode(this.levels[i], this.maximum)));
    return most;
  }
}

/** The maps of a block whose bytes are (…, layers, packed): the one at position `index`. */
function mapOf(bytes, maximum, index, tokens, decode = value) {
  const packed = (tokens * (tokens + 1)) / 2;
  return new PackedMap(bytes.subarray(index * packed, (index + 1) * packed), maximum, tokens, decode);
}
