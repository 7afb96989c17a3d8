"""How often the intervals of distances of domains cover the planted distance, and how often their
test rejects. About a minute.

    python perf/distance_coverage.py
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from engram.series.distances import Sets, distance_row, jensen_shannon

PLANTED = (
    ((0.4, 0.3, 0.2, 0.1), (0.4, 0.3, 0.2, 0.1)),
    ((0.4, 0.3, 0.2, 0.1), (0.3, 0.35, 0.2, 0.15)),
    ((0.4, 0.3, 0.2, 0.1), (0.2, 0.2, 0.3, 0.3)),
    ((0.7, 0.1, 0.1, 0.1), (0.1, 0.1, 0.1, 0.7)),
    ((0.5, 0.48, 0.01, 0.01), (0.5, 0.3, 0.1, 0.1)),
)
SIZES = ((40, 40), (40, 400), (300, 300))
SIMULATED = 300


def sets(random: np.random.Generator, sizes: tuple[int, int], shares: tuple) -> Sets:
    """Return two sets of windows of different texts."""
    kinds = np.eye(len(shares[0]))
    own = [
        kinds[random.choice(len(kinds), size, p=of_set)]
        for size, of_set in zip(sizes, shares, strict=True)
    ]
    first, second = (np.zeros((sum(sizes), len(kinds))) for _ in own)
    first[: sizes[0]], second[sizes[0] :] = own
    return Sets(first, second, np.zeros(sum(sizes), bool))


def main() -> None:
    """Print a line per planted distance and sizes."""
    random = np.random.default_rng(0)
    for shares in PLANTED:
        truth = float(jensen_shannon(*map(np.array, shares)))
        for sizes in SIZES:
            covered = rejected = 0
            for seed in tqdm(range(SIMULATED), leave=False):
                drawn = sets(random, sizes, shares)
                row = distance_row(drawn, resamples=400, confidence=0.95, seed=seed)
                covered += row["low"] <= truth <= row["high"]
                rejected += row["p"] <= 0.05
            print(
                f"{truth:.4f} bits, n = {sizes[0]} and {sizes[1]}: covered "
                f"{100 * covered / SIMULATED:.1f} %, rejected {100 * rejected / SIMULATED:.1f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
