"""A synthetic population in the layout and schema of the published data, to plan the paper's study
without the hub.

    python perf/population.py FOLDER [--rows 6870000] [--models pythia-12b-deduped-v0 ...]
    snakemake plan --configfile FOLDER/study.yaml

Writes FOLDER/<model>/data/*.parquet with all 27 columns, and FOLDER/study.yaml: studies/paper.yaml
on these folders.

What it assumes. 5.0 of 6.87 million rows are windows of the training text (`pile`), the rest what
the model memorized (`memories`); 1 % of the former are memorized and stand in both. Of memorized
rows 80.3 % have more than 5 duplicates, 3.6 % are templates among the others and 16.0 % are neither
(the paper's Figure 2); the number of duplicates is log-normal with σ = 2.5, so 47 % have more than
50 and 10 % more than 1,000 (assumed), and 5 % of the rows of more than 5 duplicates are templates
(assumed). 28.3 % are Guess[0.5-0.5] (Figure 2): the share x of the suffix that stands in the prefix
is Beta(1, 2.16) where the row is no template, copied in one piece or scattered with equal odds,
which spreads ROUGE-L and ROUGE-3 over all ρ. 30 % of the texts are code (assumed). Columns that
Engram does not read hold one value.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

PREFIX, WINDOW, VOCABULARY = 32, 64, 50_254
ROWS = 1 << 16
MODELS = ("pythia-12b-deduped-v0", "pythia-6.9b-deduped-v0", "pythia-2.8b-deduped-v0")
MEMORIZED = 1.87 / 6.87
"""Share of the rows in the split `memories`."""
IN_BOTH = 0.01
"""Share of the split `pile` that is memorized."""
RECITE, TEMPLATES = 0.803, 0.036
"""Of memorized rows: more than 5 duplicates, and templates among the others."""
TEMPLATES_OF_RECITE = 0.05
GUESS = 0.283
SIGMA = 2.5
CODE = 0.3
WORDS = (
    "the",
    "of",
    "and",
    "a",
    "to",
    "in",
    "is",
    "was",
    "for",
    "that",
    "on",
    "as",
    "with",
    "by",
    "at",
    "from",
    "it",
    "his",
    "an",
    "were",
)


def texts(rows: int, random: np.random.Generator) -> pa.Array:
    """Short texts, 200 of code and 200 of prose: only the label `is_code` reads them."""
    code = [f"def f_{n}(a):\n    return a + {n};\n" for n in range(200)]
    prose = [" ".join(random.choice(WORDS, 8)) + "." for _ in range(200)]
    chosen = np.where(
        random.random(rows) < CODE, random.integers(0, 200, rows), random.integers(200, 400, rows)
    )
    return pa.DictionaryArray.from_arrays(
        pa.array(chosen, pa.int32()), pa.array(code + prose)
    ).cast(pa.string())


def tokens_of(template: np.ndarray, share: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Windows (n, 64): suffixes that repeat a share of the prefix, in one piece or scattered;
    templates repeat 4 tokens.
    """
    n = len(template)
    tokens = random.integers(0, VOCABULARY, (n, WINDOW))
    position = np.arange(WINDOW - PREFIX)
    piece = position[None] < np.round(share * len(position))[:, None]
    scattered = random.random((n, len(position))) < share[:, None]
    kept = np.where((random.random(n) < 0.5)[:, None], piece, scattered)  # (n, S)
    tokens[:, PREFIX:] = np.where(kept, tokens[:, :PREFIX], tokens[:, PREFIX:])
    tokens[template] = np.tile(tokens[template, :4], (1, WINDOW // 4))
    return tokens


def columns_of(
    ids: np.ndarray, memorized: np.ndarray, random: np.random.Generator
) -> dict[str, Any]:
    """Rows of a split, all 27 columns."""
    n = len(ids)
    middle = np.log(5.5) + SIGMA * NormalDist().inv_cdf(RECITE)
    duplicates = np.where(
        memorized,
        np.round(np.exp(random.normal(middle, SIGMA, n))).clip(1),
        1 + random.poisson(0.3, n),
    ).astype(np.int64)
    of_others = np.where(memorized, TEMPLATES / (1 - RECITE), 0.005)
    template = random.random(n) < np.where(duplicates > 5, TEMPLATES_OF_RECITE, of_others)
    templates = RECITE * TEMPLATES_OF_RECITE + TEMPLATES
    overlap = (GUESS - templates) / (1 - templates)  # of the memorized rows that are no templates
    share = np.where(
        memorized, random.beta(1, np.log(overlap) / np.log(0.5), n), random.beta(1, 5, n)
    )
    counting = template & (random.random(n) < 0.5)
    tokens = tokens_of(template, share, random)
    offsets = pa.array(np.arange(0, (n + 1) * WINDOW, WINDOW, dtype=np.int32))
    columns: dict[str, Any] = {
        "sequence_id": ids,
        "text": texts(n, random),
        "is_incrementing": counting,
        "is_repeating": template & ~counting,
        "sequence_duplicates": duplicates,
        "memorization_score": np.where(memorized, 1.0, random.integers(0, 32, n) / 32),
        "tokens": pa.ListArray.from_arrays(offsets, pa.array(tokens.ravel())),
        "frequencies": pa.array([[]] * n, pa.list_(pa.int64())),
        "smallest_repeating_chunk": pa.array([[]] * n, pa.list_(pa.int64())),
    }
    for name in (
        "loss",
        "prompt_perplexity",
        "generation_perplexity",
        "sequence_perplexity",
        "nl_scores",
    ):
        columns[name] = np.ones(n, np.float32)
    for name in ("max_frequency", "min_frequency", "p25_frequency", "p75_frequency"):
        columns[name] = np.ones(n, np.int64)
    for name in ("0_8_snowclones", "0_9_snowclones", "0_8_templates", "0_9_templates"):
        columns[name] = np.ones(n, np.int64)
    for name in ("avg_frequency", "median_frequency", "huffman_coding_length"):
        columns[name] = np.ones(n)
    for name in ("repeating_offset", "num_repeating"):
        columns[name] = np.zeros(n, np.int32)
    return columns


def write_split(path: Path, ids: np.ndarray, memorized: np.ndarray, seed: list[int]) -> None:
    """One file of the data set."""
    random, writer = np.random.default_rng(seed), None
    for start in range(0, len(ids), ROWS):
        part = slice(start, start + ROWS)
        table = pa.table(columns_of(ids[part], memorized[part], random))
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def write_population(folder: Path, model: str, rows: int, seed: int) -> None:
    """Both splits of a model, whose name tells their names."""
    size = model.split("-")[1]
    (folder / "data").mkdir(parents=True, exist_ok=True)
    memories = int(rows * MEMORIZED)
    pile = rows - memories
    both = int(pile * IN_BOTH)
    ids = np.random.default_rng(seed).permutation(20 * rows)[: pile + memories - both]
    memorized = np.arange(pile) < both
    write_split(
        folder / "data" / f"pile_deduped_{size}-00000-of-00001.parquet",
        ids[:pile],
        memorized,
        [seed, 0],
    )
    again = np.concatenate([ids[:both], ids[pile:]])
    write_split(
        folder / "data" / f"memories_deduped_{size}-00000-of-00001.parquet",
        again,
        np.ones(len(again), bool),
        [seed, 1],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[6_870_000],
        help="rows of both splits together: of every model, or of each",
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    study = yaml.safe_load((Path(__file__).parents[1] / "studies" / "paper.yaml").read_text())
    study["models"] = [entry for entry in study["models"] if entry["name"] in options.models]
    if len(options.rows) not in (1, len(study["models"])):
        parser.error(f"--rows: give one number, or one for each of {len(study['models'])} models")
    for number, entry in enumerate(study["models"]):
        rows = options.rows[number % len(options.rows)]
        write_population(options.folder / entry["name"], entry["name"], rows, number)
        entry["dataset"] = str((options.folder / entry["name"]).resolve())
        print(f"{entry['name']}: {rows:,} rows in {entry['dataset']}")
    (options.folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    print(f"now: snakemake plan --configfile {options.folder / 'study.yaml'}")


if __name__ == "__main__":
    main()
