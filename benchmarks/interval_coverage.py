"""How often the intervals of the tables hold the truth: simulated studies whose true scores are known.

    python benchmarks/interval_coverage.py --studies 1000

A simulated study draws content groups of one or two samples, and CNNs whose class biases differ; the truth is the score of
a very large population with very many CNNs. Prints, for every setting and score, the share of intervals that hold it (nominal 95 %).
"""

from __future__ import annotations

import argparse

import numpy as np
from tqdm import tqdm

from engram.bootstrap import intervals, scores_of

SETTINGS = {
    "easy, 80 a class": (1.6, 80, 4),
    "hard, 80 a class": (0.7, 80, 4),
    "hard, 80 a class, 16 CNNs": (0.7, 80, 16),
    "hard, 400 a class": (0.7, 400, 4),
}
"""Signal of a class in standard deviations of the noise, test samples of a class, CNNs."""
CLASSES = 3
SCORES = ("min_f1", "mean_f1", "balanced_accuracy")


def study(random: np.random.Generator, signal: float, per_class: int, cnns: int) -> np.ndarray:
    """Confusion matrices per CNN and content group, (C, G, K, K): samples of a group share half of their noise."""
    groups = per_class * CLASSES * 2 // 3
    label = np.arange(groups) % CLASSES
    member = np.concatenate([np.arange(groups), np.arange(groups // 2)])  # half of the groups hold two samples
    text = random.normal(size=(groups, CLASSES))[member] + random.normal(size=(len(member), CLASSES))
    counts = np.zeros((cnns, groups, CLASSES, CLASSES), dtype=np.int64)
    for cnn in range(cnns):
        noise = text + random.normal(size=text.shape) + 0.2 * random.normal(size=CLASSES)
        predicted = (signal * 1.7 * np.eye(CLASSES)[label[member]] + noise).argmax(axis=1)
        np.add.at(counts, (cnn, member, label[member], predicted), 1)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="simulated data sets per setting")
    parser.add_argument("--resamples", type=int, default=500, help="of every interval")
    arguments = parser.parse_args()
    print(f"| setting | {' | '.join(SCORES)} |\n|---|{'---|' * len(SCORES)}")
    for name, (signal, per_class, cnns) in SETTINGS.items():
        random = np.random.default_rng(0)
        truth = scores_of(study(random, signal, 30_000, 30).sum(axis=(0, 1)))
        hits = dict.fromkeys(SCORES, 0)
        for seed in tqdm(range(arguments.studies), desc=name):
            found = intervals(study(random, signal, per_class, cnns), scores_of, resamples=arguments.resamples, seed=seed)
            for score in SCORES:
                hits[score] += found[score][1] <= truth[score] <= found[score][2]
        print(f"| {name} | {' | '.join(f'{100 * hits[score] / arguments.studies:.1f} %' for score in SCORES)} |", flush=True)


if __name__ == "__main__":
    main()
