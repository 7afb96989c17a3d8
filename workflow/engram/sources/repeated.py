"""Windows of text that is repeated everywhere, so that any model has seen them often: licences, and
what files of the standard library share.

How often is counted in a reference corpus: the licences and notices of the wheels that a study
names and of all installed packages, and the standard library of the running Python. Whatever many
packages hold here, many more hold on the web.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from engram.io.hashing import uniform
from engram.lm.tokens import encoder
from engram.sources.corpus import name_hash, window_ids
from engram.sources.releases import TextFile, library_files, license_files
from engram.sources.settings import RepeatedSettings
from engram.windows.duplicates import run_owners, suffix_occurrences
from engram.windows.rouge import prefix_suffix_rouge

LIBRARY = "standard library"
"""What windows of the standard library have for a release."""
TABLES = "encodings/"
"""Tables of characters, which a program has written: most of what files of the library share."""


def repeated_windows(
    records: Iterable[Mapping[str, str]],
    tokenizer: PreTrainedTokenizerBase,
    window: tuple[int, int],
    settings: RepeatedSettings,
    overlap: float,
    seed: int,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw windows that at least `settings.copies` packages, or files of the library, hold.

    Of equal windows the first is kept. Within low and high overlap, those with the lowest permanent
    random numbers are drawn.

    Args:
        records: of wheels, as `releases.fetch_release` returns them.
        tokenizer: the model's.
        window: tokens of prefix and suffix.
        settings: which windows.
        overlap: ROUGE-L or ROUGE-3 between the halves from which on overlap is high.
        seed: of the draw.

    Returns:
        tokens int32 (n, T); and of each window sequence_id, document, offset (tokens), release (the
        package, or `LIBRARY`), is_code, half_overlap, copies, and sequence_duplicates, how often
        its suffix occurs in the reference corpus.
    """
    named: list[tuple[str, str, TextFile]] = []
    for count, (package, file) in enumerate(license_files(records)):
        named.append((package, f"licences/{package}/{count}/{file.name}", file))
    named += [
        (LIBRARY, f"library/{file.name}", file)
        for file in library_files()
        if not file.name.startswith(TABLES)
    ]
    encoded = encoder(tokenizer)([file.text for _, _, file in named])
    sizes = np.array([len(ids) for ids in encoded])
    stream = np.concatenate([np.array(ids, dtype=np.int64) for ids in encoded])
    starts = np.cumsum(sizes) - sizes
    # Every file of the library is an owner of its own.
    owners = pd.factorize(
        np.array([name if owner == LIBRARY else owner for owner, name, _ in named], object)
    )[0]
    length = sum(window)
    copies, equal = run_owners(stream, starts, owners, length)
    document = np.repeat(np.arange(len(sizes)), sizes)[: len(copies)]
    offset = np.arange(len(copies)) - starts[document]
    places = np.flatnonzero((copies >= settings.copies) & (offset % settings.stride == 0))
    places = places[np.unique(equal[places], return_index=True)[1]]
    places.sort()
    tokens = stream[places[:, None] + np.arange(length)].astype(np.int32)  # (n, T)
    half = np.maximum(*prefix_suffix_rouge(tokens, length // 2)) if len(tokens) else np.zeros(0)
    hashes = np.array([name_hash(name) for _, name, _ in named], dtype=np.uint64)
    ids = window_ids(hashes[document[places]], offset[places])
    permanent = uniform(ids, seed, "repeated")
    drawn = np.concatenate(
        [
            (rows := np.flatnonzero(own))[np.argsort(permanent[rows], kind="stable")][:wanted]
            for own, wanted in ((half < overlap, settings.low), (half >= overlap, settings.high))
        ]
    )
    drawn.sort()
    of_window = [named[at] for at in document[places[drawn]]]
    frame = pd.DataFrame(
        {
            "sequence_id": ids[drawn],
            "document": [name for _, name, _ in of_window],
            "offset": offset[places[drawn]],
            "release": [owner for owner, _, _ in of_window],
            "is_code": [file.is_code for _, _, file in of_window],
            "half_overlap": half[drawn],
            "copies": copies[places[drawn]],
            "sequence_duplicates": suffix_occurrences(
                tokens[drawn][:, window[0] :], stream, starts
            ),
        }
    )
    return tokens[drawn], frame
