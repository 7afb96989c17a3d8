"""ROUGE between prefix and suffix: engram.windows.rouge beside the package rouge-score, in one run.

    python perf/rouge.py [--rows 1000000] [--reference-rows 20000]

Prints CPU time per row on one core, the ratio, and whether every float64 of the compared rows is
equal. rouge-score takes about 0.7 ms a row, so it sees the first `--reference-rows` rows only; give
the value of `--rows` to compare all. Needs the test dependencies.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from tqdm import tqdm

from engram.windows.rouge import prefix_suffix_rouge

PREFIX, SUFFIX = 32, 32


def random_rows(rows: int, random: np.random.Generator) -> np.ndarray:
    """Independent tokens of alphabets of 2 to 100 ids: overlap by chance, mostly short matches."""
    alphabets = random.choice([2, 3, 5, 10, 30, 100], size=(rows, 1))
    return random.integers(0, alphabets, size=(rows, PREFIX + SUFFIX))


def repeated_chunks(rows: int, random: np.random.Generator) -> np.ndarray:
    """A chunk of 1 to 64 tokens again and again, with a token in ten changed: long matches with
    gaps.
    """
    tokens = random.integers(0, 50_000, size=(rows, PREFIX + SUFFIX))
    period = random.integers(1, PREFIX + SUFFIX + 1, size=(rows, 1))
    repeated = np.take_along_axis(tokens, np.arange(PREFIX + SUFFIX) % period, axis=1)
    return np.where(random.random(tokens.shape) < 0.1, tokens, repeated)


def counters(rows: int, random: np.random.Generator) -> np.ndarray:
    """A frame of 1 to 7 constant tokens around a running number: many shared trigrams, none with
    the number.
    """
    period = random.integers(2, 9, size=(rows, 1))
    position = np.arange(PREFIX + SUFFIX)
    frame = np.take_along_axis(
        random.integers(1000, 50_000, size=(rows, 8)), position % period, axis=1
    )
    number = random.integers(0, 500, size=(rows, 1)) + position // period
    return np.where(position % period == 0, number, frame)


def engram_rate(tokens: np.ndarray) -> float:
    """CPU µs per row of engram.windows.rouge on one core, the best of three passes."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        prefix_suffix_rouge(tokens, PREFIX)
        seconds.append(time.process_time() - start)
    return 1e6 * min(seconds) / len(tokens)


def rouge_score_rate(tokens: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """CPU µs per row of rouge-score, and its scores, as the study's code calls it: one scorer for
    each of the two.
    """
    scorer_l, scorer_3 = RougeScorer(["rougeL"]), RougeScorer(["rouge3"])
    rouge_l, rouge_3 = np.empty(len(tokens)), np.empty(len(tokens))
    start = time.process_time()
    for row, window in enumerate(tqdm(tokens, desc="rouge-score", leave=False, mininterval=2)):
        prefix, suffix = " ".join(map(str, window[:PREFIX])), " ".join(map(str, window[PREFIX:]))
        rouge_l[row] = scorer_l.score(prefix, suffix)["rougeL"].fmeasure
        rouge_3[row] = scorer_3.score(prefix, suffix)["rouge3"].fmeasure
    return 1e6 * (time.process_time() - start) / len(tokens), rouge_l, rouge_3


def main() -> None:
    """Runs the comparison and prints the table; exits with an error where a float differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="rows that engram.windows.rouge scores"
    )
    parser.add_argument(
        "--reference-rows",
        type=int,
        default=20_000,
        help="of them, rows that rouge-score scores too",
    )
    arguments = parser.parse_args()
    if not 3 <= arguments.reference_rows <= arguments.rows:
        parser.error("--reference-rows needs 3 rows (one of each kind) up to --rows")

    random = np.random.default_rng(0)
    prefix_suffix_rouge(np.zeros((1, PREFIX + SUFFIX), dtype=np.int64), PREFIX)  # compile

    print(
        f"{'rows':<16}{'n':>10}{'compared':>10}{'rouge-score':>14}{'engram':>10}{'ratio':>8}"
        f"{'differ':>8}"
    )
    print(f"{'':<36}{'µs/row':>14}{'µs/row':>10}")
    differing, kinds = 0, (random_rows, repeated_chunks, counters)
    for kind in kinds:
        rows, compared = arguments.rows // len(kinds), arguments.reference_rows // len(kinds)
        tokens = kind(rows, random)
        ours = engram_rate(tokens)
        theirs, expected_l, expected_3 = rouge_score_rate(tokens[:compared])
        rouge_l, rouge_3 = prefix_suffix_rouge(tokens, PREFIX)
        unequal = int(
            ((rouge_l[:compared] != expected_l) | (rouge_3[:compared] != expected_3)).sum()
        )
        differing += unequal
        print(
            f"{kind.__name__:<16}{rows:>10,}{compared:>10,}{theirs:>14.1f}{ours:>10.3f}"
            f"{theirs / ours:>8,.0f}{unequal:>8}"
        )
    if differing:
        raise SystemExit(f"{differing} rows differ from rouge-score")


if __name__ == "__main__":
    main()
