"""Windows that a model cannot have seen: cut from the new lines of releases that are younger than
the model, drawn by stratum, and looked up in older text.
"""

from __future__ import annotations

import logging
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from engram.io.errors import EngramError, printable
from engram.io.hashing import uniform
from engram.io.streams import stream_parquet
from engram.lm.tokens import decode, encoder
from engram.sources.account import Account
from engram.sources.candidates import window_table
from engram.sources.checks import Limits
from engram.sources.corpus import CHARACTERS_AT_ONCE, TokenStream, name_hash, window_ids
from engram.sources.documents import Piece
from engram.sources.fit import check_tokenizer
from engram.sources.releases import NewText, TextFile, library_files, new_text, text_files
from engram.sources.repeated import repeated_windows
from engram.sources.settings import RepeatedSettings, UnseenSettings
from engram.windows.duplicates import runs_elsewhere, suffix_occurrences
from engram.windows.rouge import prefix_suffix_rouge
from engram.windows.text_features import token_frequencies

log = logging.getLogger(__name__)

OVERLAP = 0.5
"""ROUGE-L or ROUGE-3 between the halves of a window from which on its overlap is high. For a suffix
as long as the prefix these are the strata of crossed designs (`engram.nursery.arms.text_strata`).
For a shorter one ROUGE between prefix and suffix says little: it is an F-measure, of 48 and 16
tokens at most .5 where all of the suffix can be copied."""


@dataclass(frozen=True)
class _Run:
    """A run of new lines with its tokens."""

    release: int
    text: NewText
    tokens: np.ndarray


def write_windows(
    releases: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    limits: Limits,
    window: tuple[int, int],
    unseen: UnseenSettings,
    repeated: RepeatedSettings,
    seed: int,
    output: Path,
    metadata: dict[str, Any],
) -> None:
    """Write windows.parquet: windows of new lines of the releases.

    A window lies within a run of new lines; it is `seen_before` where a run of `unseen.run` of its
    tokens occurs in an earlier release, in the standard library of the running Python, or in the
    new lines of another package. The drawn windows are, within each stratum (code or prose, low or
    high overlap), those with the lowest permanent random numbers, at most `unseen.per_document` of
    a file.

    Columns: sequence_id; tokens; text; sequence_duplicates, how often the suffix occurs in that
    older text, or in the reference corpus of repeated text; frequencies of the tokens in the older
    text; `kind`, natural; `source`, document:offset; `release`, name==version; `is_code`; `unseen`,
    true unless seen before; `seen_before`; `repeated`, and `copies`, more than 0 there, see
    `repeated_windows`; `half_overlap`, the larger of ROUGE-L and ROUGE-3 between the halves of the
    window; `line`, the number of the first line of the window's run, empty for repeated text.

    Args:
        releases: as `releases.fetch_releases` returns them.
        tokenizer: the model's.
        limits: the model's.
        window: tokens of prefix and suffix.
        unseen: which windows of them.
        repeated: which windows of repeated text are added, see `repeated_windows`.
        seed: of the draw.
        output: the windows, still without scores.
        metadata: what the artifact records.

    Raises:
        EngramError: a wheel cannot be read, or no run of new lines has as many tokens as a window.
    """
    check_tokenizer(tokenizer, limits)
    length, account = sum(window), Account("releases", 0)
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".packages-", dir=output.parent) as scratch,
        (Path(scratch) / "tokens").open("w+b") as file,
    ):
        dtype = np.dtype(np.uint16 if limits.vocabulary <= 1 << 16 else np.uint32)
        older = TokenStream(file, dtype)
        runs = _read(releases, tokenizer, older, account)
        log.info(account.line())
        windows, stream = _cut(runs, releases, length, unseen.stride)
        reference = older.read()
        boundaries = np.array(older.starts, dtype=np.int64)
        tokens = stream[windows["start"].to_numpy()[:, None] + np.arange(length)].astype(np.int32)
        shortest = min(unseen.run, length)
        owners = np.repeat([run.release for run in runs], [len(run.tokens) for run in runs])
        known = runs_elsewhere(stream, owners, reference, boundaries, shortest)
        windows = _marked(windows, tokens, known, shortest)
        drawn = _draw(windows, unseen, seed)
        strata = _strata(windows, drawn)
        for name, numbers in strata.items():
            log.info("%s: %s", name, ", ".join(f"{n:,} {what}" for what, n in numbers.items()))
        if drawn.empty:
            raise EngramError(
                "releases: every window was seen before; add packages, or set "
                "`unseen.seen_before: flag`"
            )
        tokens = tokens[drawn.index]
        duplicates = suffix_occurrences(tokens[:, window[0] :], reference, boundaries)
        drawn = drawn.assign(sequence_duplicates=duplicates, repeated=False, copies=0)
        if repeated.low or repeated.high:
            records = [record for release in releases for record in _wheels(release)]
            others, rows = repeated_windows(records, tokenizer, window, repeated, OVERLAP, seed)
            log.info("repeated text: %d windows kept", len(rows))
            rows = rows.assign(seen_before=True, repeated=True)
            drawn = pd.concat([drawn, rows], ignore_index=True)
            tokens = np.concatenate([tokens, others])
        counts = np.zeros(limits.vocabulary, dtype=np.int64)
        of_each = older.counts()
        counts[: len(of_each)] = of_each
        said = {
            "releases": [dict(release) for release in releases],
            "older_text": {"tokens": older.tokens, "python": platform.python_version()},
            "strata": strata,
            **account.metadata(),
        }
        with stream_parquet(output, metadata | said) as written:
            columns = _columns(tokens, drawn, tokenizer)
            written.append(window_table(tokens, columns | token_frequencies(tokens, counts)))


def _read(
    releases: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    older: TokenStream,
    account: Account,
) -> list[_Run]:
    """Return the runs of new lines of the releases; `older` gets the standard library and the
    earlier releases, `account` the files.
    """
    _append(older, "library", library_files(), tokenizer)
    runs: list[_Run] = []
    for number, release in enumerate(tqdm(releases, desc="releases", mininterval=2)):
        earlier = {file.name: file for file in _files(release["before"])}
        if release["before"]:
            _append(older, release["before"]["package"], earlier.values(), tokenizer)
        texts = [
            text
            for file in _files(release["wheel"], account)
            for text in new_text(file, earlier[file.name].text if file.name in earlier else None)
        ]
        runs += [
            _Run(number, text, np.array(ids, dtype=np.int64))
            for text, ids in _encoded(texts, tokenizer)
        ]
    return runs


def _marked(
    windows: pd.DataFrame, tokens: np.ndarray, known: np.ndarray, shortest: int
) -> pd.DataFrame:
    """Return windows with seen_before, half_overlap and high (whether the overlap is).

    Args:
        windows: of `_cut`.
        tokens: of the windows, (n, T).
        known: of every token of the stream, whether `shortest` tokens from there on are in older
            text.
        shortest: see `known`.
    """
    length = tokens.shape[1]
    before = np.concatenate([[0], np.cumsum(known)])  # known runs that begin before a token
    starts = windows["start"].to_numpy()
    overlap = np.maximum(*prefix_suffix_rouge(tokens, length // 2))
    return windows.assign(
        seen_before=before[starts + length - shortest + 1] > before[starts],
        half_overlap=overlap,
        high=overlap >= OVERLAP,
    )


def _columns(
    tokens: np.ndarray, drawn: pd.DataFrame, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """Return the columns of the drawn windows but the frequencies of their tokens."""
    places = zip(drawn["document"], drawn["offset"], strict=True)
    sources = [f"{printable(document)}:{offset}" for document, offset in places]
    seen = drawn["seen_before"].to_numpy(dtype=bool)
    return {
        "sequence_id": drawn["sequence_id"].to_numpy(dtype=np.int64),
        "text": pa.array(decode(tokenizer, tokens), pa.string()),
        "sequence_duplicates": drawn["sequence_duplicates"].to_numpy(dtype=np.int64),
        "kind": pa.array(["natural"] * len(drawn), pa.string()),
        "source": pa.array(sources, pa.string()),
        "release": pa.array(drawn["release"], pa.string()),
        "is_code": drawn["is_code"].to_numpy(dtype=bool),
        "unseen": ~seen,
        "seen_before": seen,
        "repeated": drawn["repeated"].to_numpy(dtype=bool),
        "copies": drawn["copies"].to_numpy(dtype=np.int64),
        "half_overlap": drawn["half_overlap"].to_numpy(dtype=np.float64),
        "line": pa.array(drawn["line"].astype("Int64"), pa.int64()),
    }


def _files(record: Mapping[str, str] | None, account: Account | None = None) -> Iterator[TextFile]:
    """Yield the text files of a release; none where there is no release."""
    if record:
        yield from text_files(record, account)


def _wheels(release: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return the records of a release's wheels."""
    return [record for record in (release["wheel"], release["before"]) if record]


def _encoded(
    texts: Sequence[NewText], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[NewText, list[int]]]:
    """Yield runs of new lines with their tokens."""
    encode = encoder(tokenizer)
    for part in _parts([len(text.text) for text in texts]):
        chosen = texts[part]
        yield from zip(chosen, encode([text.text for text in chosen]), strict=True)


def _append(
    stream: TokenStream,
    name: str,
    files: Iterator[TextFile] | Sequence[TextFile] | Any,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write files to a stream of tokens, each as a document."""
    encode, listed = encoder(tokenizer), list(files)
    for part in _parts([len(file.text) for file in listed]):
        texts = [file.text for file in listed[part]]
        for file, ids in zip(listed[part], encode(texts), strict=True):
            stream.append(Piece(f"{name}/{file.name}", "", opens=True), ids)


def _parts(sizes: Sequence[int]) -> Iterator[slice]:
    """Yield slices of texts that have about `CHARACTERS_AT_ONCE` characters together."""
    first = total = 0
    for number, size in enumerate(sizes):
        total += size
        if total >= CHARACTERS_AT_ONCE:
            yield slice(first, number + 1)
            first, total = number + 1, 0
    if first < len(sizes):
        yield slice(first, len(sizes))


def _cut(
    runs: Sequence[_Run], releases: Sequence[Mapping[str, Any]], length: int, stride: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Cut windows from runs of new lines.

    Returns:
        windows: sequence_id, start (first token in the stream), document, offset (tokens of the
            document's new lines before it), line, release, is_code.
        stream: the tokens of all runs, one after another.

    Raises:
        EngramError: no run is long enough.
    """
    parts, start, before = [], 0, dict[str, int]()
    for run in runs:
        release, file = releases[run.release], run.text.file
        document = f"{release['name']}-{release['version']}/{file.name}"
        first, size = before.get(document, 0), len(run.tokens)
        offsets = np.arange(0, size - length + 1, stride)
        if len(offsets):
            parts.append(
                pd.DataFrame(
                    {
                        "sequence_id": window_ids(
                            np.full(len(offsets), name_hash(document), np.uint64), first + offsets
                        ),
                        "start": start + offsets,
                        "document": document,
                        "offset": first + offsets,
                        "line": run.text.line,
                        "release": f"{release['name']}=={release['version']}",
                        "is_code": file.is_code,
                    }
                )
            )
        before[document] = first + size
        start += size
    if not parts:
        raise EngramError(
            f"releases: no run of new lines has {length} tokens; lower `prefix` or `suffix`, or "
            f"name releases that have more new text"
        )
    windows = pd.concat(parts, ignore_index=True)
    # Two windows of one id, one pair in a million studies: the first stays.
    windows = windows[~windows["sequence_id"].duplicated()].reset_index(drop=True)
    return windows, np.concatenate([run.tokens for run in runs])


def _draw(windows: pd.DataFrame, unseen: UnseenSettings, seed: int) -> pd.DataFrame:
    """Return the windows that are kept, ordered by document."""
    number = uniform(windows["sequence_id"].to_numpy(), seed, "packages")
    allowed = windows[~windows["seen_before"]] if unseen.seen_before == "drop" else windows
    ordered = allowed.iloc[np.argsort(number[allowed.index.to_numpy()], kind="stable")]
    kept = []
    for is_code, sizes in ((True, unseen.code), (False, unseen.prose)):
        for high, wanted in ((False, sizes.low), (True, sizes.high)):
            rows = ordered[(ordered["is_code"] == is_code) & (ordered["high"] == high)]
            rows = rows[rows.groupby("document").cumcount() < unseen.per_document]
            kept.append(rows.head(wanted))
    return pd.concat(kept).sort_index()


def _strata(windows: pd.DataFrame, drawn: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return of each stratum how many windows there are, were seen before, and are kept."""
    counts = {}
    for is_code, text in ((True, "code"), (False, "prose")):
        for high, overlap in ((False, "low"), (True, "high")):
            own = (windows["is_code"] == is_code) & (windows["high"] == high)
            kept = (drawn["is_code"] == is_code) & (drawn["high"] == high)
            counts[f"{text}, {overlap} overlap"] = {
                "windows": int(own.sum()),
                "seen before": int((own & windows["seen_before"]).sum()),
                "kept": int(kept.sum()),
            }
    return counts
