// What the page holds: tables as JSON, and each document as base 64 of deflated bytes, decoded when it is opened.

const opened = new Map();

/** A document's text, tokens and windows; see `_packed` of engram.auditing.page. The last few stay open. */
async function openDocument(block) {
  if (!opened.has(block)) {
    opened.set(block, unpack(await inflated(block)));
    if (opened.size > 4) opened.delete(opened.keys().next().value);
  }
  return opened.get(block);
}

function unpack(buffer) {
  const [n, w, size] = new Uint32Array(buffer, 0, 3);
  let at = 12;
  const take = (Kind, count) => {
    const end = at + count * Kind.BYTES_PER_ELEMENT;
    const array = new Kind(buffer.slice(at, end));
    at = end;
    return array;
  };
  return {
    tokens: n,
    windows: w,
    ends: take(Uint32Array, n),
    best: take(Int32Array, n),
    steps: take(Uint8Array, n),
    offsets: take(Uint32Array, w),
    logP: take(Float32Array, w),
    matches: take(Uint8Array, w),
    longest: take(Uint8Array, w),
    extracted: take(Uint8Array, w),
    kinds: take(Uint8Array, w),
    sureness: take(Uint8Array, w),
    text: new TextDecoder().decode(new Uint8Array(buffer, at, size)),
  };
}

/** A number as people read it: 0.0123, 1.2e-9, 1,234. */
function spoken(value, digits = 3) {
  if (value < 0) return `−${spoken(-value, digits)}`;
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return (value + 0).toLocaleString("en"); // not −0
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return value.toExponential(1).replace("+", "").replace("e-", "e−");
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
}

/** A probability of which the logarithm is known, however small. */
function probability(logP) {
  if (logP === null) return "–";
  if (logP > -7) return spoken(Math.exp(logP));
  const power = Math.floor(logP / Math.LN10);
  return `${Math.exp(logP - power * Math.LN10).toFixed(1)}e−${-power}`;
}

function percent(share) {
  if (share === null) return "–";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}
