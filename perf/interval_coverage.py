"""How often the intervals of the tables cover the truth: simulated studies whose true scores are
known.

    python perf/interval_coverage.py --studies 1000
    python perf/interval_coverage.py --studies 300 --compare

A simulated study draws content groups of one or two samples, and CNNs whose class biases differ;
the truth is the score of a very large population with very many CNNs. Prints, for every setting and
score, the share of intervals that cover it (nominal 95 %). `--compare` adds other intervals
(docs/statistics.md):

- texts alone: the CNNs are not resampled;
- narrowed: drawing texts and CNNs counts the noise of a CNN on a text three times; the spread is
  reduced to once;
- percentile: of the same resamples, not mirrored.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
from scipy.special import expit, logit
from tqdm import tqdm

from engram.scores.bootstrap import draw_counts, logit_basic_interval, percentile_interval
from engram.scores.metrics import table_scores
from engram.scores.runs import Run, score_intervals

SETTINGS = {
    "easy, 80 a class": (1.6, 80, 4),
    "hard, 80 a class": (0.7, 80, 4),
    "hard, 80 a class, 16 CNNs": (0.7, 80, 16),
    "hard, 400 a class": (0.7, 400, 4),
}
"""Signal of a class in standard deviations of the noise, test samples of a class, CNNs."""
CLASSES = 3
CONFIDENCE = 0.95
SCORES = ("min_f1", "mean_f1", "balanced_accuracy")


def study(random: np.random.Generator, signal: float, per_class: int, cnns: int) -> np.ndarray:
    """Simulate confusion matrices per CNN and content group, (C, G, K, K); samples of a group share
    half of their noise.
    """
    groups = per_class * CLASSES * 2 // 3
    label = np.arange(groups) % CLASSES
    member = np.concatenate(
        [np.arange(groups), np.arange(groups // 2)]
    )  # half of the groups hold two samples
    text = random.normal(size=(groups, CLASSES))[member] + random.normal(
        size=(len(member), CLASSES)
    )
    counts = np.zeros((cnns, groups, CLASSES, CLASSES), dtype=np.int64)
    for cnn in range(cnns):
        noise = text + random.normal(size=text.shape) + 0.2 * random.normal(size=CLASSES)
        predicted = (signal * 1.7 * np.eye(CLASSES)[label[member]] + noise).argmax(axis=1)
        np.add.at(counts, (cnn, member, label[member], predicted), 1)
    return counts


def as_run(counts: np.ndarray) -> Run:
    """Return the run that has these confusion matrices, (C, G, K, K)."""
    cnns, groups = counts.shape[:2]
    return Run(tuple(map(str, range(cnns))), tuple(range(groups)), counts)


def drawn(
    run: Run, generator: np.random.Generator, resamples: int, *, texts: bool, networks: bool
) -> dict[str, np.ndarray]:
    """Return scores of resamples of content groups, of CNNs, or of both."""
    of_groups, of_cnns = (
        draw_counts(generator, units, resamples) if varied else np.ones((resamples, units))
        for units, varied in ((len(run.groups), texts), (len(run.cnns), networks))
    )
    return table_scores(run.drawn(of_groups, of_cnns))


def alternatives(
    run: Run, resamples: int, seed: int
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return other intervals by their name and score."""
    generator, margin = np.random.default_rng(seed), run.half_sample
    both = drawn(run, generator, resamples, texts=True, networks=True)
    texts = drawn(run, generator, resamples, texts=True, networks=False)
    networks = drawn(run, generator, resamples, texts=False, networks=True)

    def inside(draws: np.ndarray) -> np.ndarray:
        return logit(np.clip(draws, margin, 1 - margin))

    result: dict[str, dict[str, tuple[float, float, float]]] = {
        "texts alone": {},
        "narrowed": {},
        "percentile": {},
    }
    for score in SCORES:
        value = float(table_scores(run.total)[score])
        result["percentile"][score] = percentile_interval(value, both[score], CONFIDENCE)
        result["texts alone"][score] = logit_basic_interval(value, texts[score], CONFIDENCE, margin)
        of_both, of_texts, of_cnns = (inside(of[score]).var() for of in (both, texts, networks))
        # Texts and CNNs each have the noise of a CNN on a text once, both together three times.
        once = max(0.0, of_both - of_texts - of_cnns)
        cnns = len(run.cnns)
        wanted = max(of_texts, of_texts + of_cnns * cnns / (cnns - 1) - once)
        center = inside(both[score]).mean()
        scaled = center + (inside(both[score]) - center) * np.sqrt(wanted / of_both)
        result["narrowed"][score] = logit_basic_interval(value, expit(scaled), CONFIDENCE, margin)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000, help="simulated data sets per setting")
    parser.add_argument("--resamples", type=int, default=500, help="of every interval")
    parser.add_argument("--compare", action="store_true", help="add other intervals")
    arguments = parser.parse_args()
    print(f"| setting | interval | {' | '.join(SCORES)} |\n|---|---|{'---|' * len(SCORES)}")
    for name, (signal, per_class, cnns) in SETTINGS.items():
        random = np.random.default_rng(0)
        truth = table_scores(study(random, signal, 30_000, 30).sum(axis=(0, 1)))
        hits: dict[str, dict[str, int]] = {}
        for seed in tqdm(range(arguments.studies), desc=name):
            run = as_run(study(random, signal, per_class, cnns))
            own = score_intervals(run, table_scores, resamples=arguments.resamples, seed=seed)
            kinds: dict[str, Mapping[str, tuple[float, float, float]]] = {"of the tables": own}
            if arguments.compare:
                kinds |= alternatives(run, arguments.resamples, seed)
            for kind, intervals in kinds.items():
                held = hits.setdefault(kind, dict.fromkeys(SCORES, 0))
                for score in SCORES:
                    _, low, high = intervals[score]
                    held[score] += low <= truth[score] <= high
        for kind, held in hits.items():
            shares = " | ".join(
                f"{100 * held[score] / arguments.studies:.1f} %" for score in SCORES
            )
            print(f"| {name} | {kind} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
