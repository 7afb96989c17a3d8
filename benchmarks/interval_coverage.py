"""How often the intervals of the tables hold the truth: simulated studies whose true scores are
known.

    python benchmarks/interval_coverage.py --studies 1000
    python benchmarks/interval_coverage.py --studies 300 --compare

A simulated study draws content groups of one or two samples, and CNNs whose class biases differ;
the truth is the score of a very large population with very many CNNs. Prints, for every setting and
score, the share of intervals that hold it (nominal 95 %). `--compare` sets other intervals beside
the tables' own (docs/statistics.md):

- texts alone: the CNNs are not resampled;
- narrowed: drawing texts and CNNs counts the noise that a CNN has on a text three times; the spread
  is brought down to once;
- percentile: of the same resamples, not reflected.
"""

from __future__ import annotations

import argparse

import numpy as np
from tqdm import tqdm

from engram.scores.bootstrap import intervals, logit_basic, scores_of

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
    """Confusion matrices per CNN and content group, (C, G, K, K): samples of a group share half of
    their noise.
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


def drawn(
    counts: np.ndarray, random: np.random.Generator, resamples: int, *, texts: bool, networks: bool
) -> dict[str, np.ndarray]:
    """Scores of resamples of content groups, of CNNs, or of both."""
    cnns, groups, classes, _ = counts.shape
    of_groups = (
        random.multinomial(groups, np.full(groups, 1 / groups), resamples)
        if texts
        else np.ones((resamples, groups))
    )
    of_cnns = (
        random.multinomial(cnns, np.full(cnns, 1 / cnns), resamples)
        if networks
        else np.ones((resamples, cnns))
    )
    flat = counts.transpose(1, 0, 2, 3).reshape(groups, -1).astype(float)
    per_cnn = (of_groups.astype(float) @ flat).reshape(resamples, cnns, classes, classes)
    return scores_of(np.einsum("rc,rckj->rkj", of_cnns, per_cnn))


def alternatives(
    counts: np.ndarray, resamples: int, seed: int
) -> dict[str, dict[str, tuple[float, float]]]:
    """Other intervals by their name and score."""
    random, value, least = (
        np.random.default_rng(seed),
        scores_of(counts.sum(axis=(0, 1))),
        len(counts) / (2 * counts.sum()),
    )
    both = drawn(counts, random, resamples, texts=True, networks=True)
    texts = drawn(counts, random, resamples, texts=True, networks=False)
    networks = drawn(counts, random, resamples, texts=False, networks=True)

    def logit(x: np.ndarray) -> np.ndarray:
        inside = np.clip(x, least, 1 - least)
        return np.log(inside / (1 - inside))

    found: dict[str, dict[str, tuple[float, float]]] = {
        "texts alone": {},
        "narrowed": {},
        "percentile": {},
    }
    for score in SCORES:
        own = float(value[score])
        found["percentile"][score] = tuple(np.quantile(both[score], [0.025, 0.975]))
        found["texts alone"][score] = logit_basic(own, texts[score], 0.025, least)[1:]
        of_both, of_texts, of_cnns = (
            logit(both[score]).var(),
            logit(texts[score]).var(),
            logit(networks[score]).var(),
        )
        once = max(
            0.0, of_both - of_texts - of_cnns
        )  # texts and CNNs each hold the noise of a CNN on a text once, both together thrice
        wanted = max(of_texts, of_texts + of_cnns * len(counts) / (len(counts) - 1) - once)
        center = logit(both[score]).mean()
        scaled = center + (logit(both[score]) - center) * np.sqrt(wanted / of_both)
        found["narrowed"][score] = logit_basic(own, 1 / (1 + np.exp(-scaled)), 0.025, least)[1:]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000, help="simulated data sets per setting")
    parser.add_argument("--resamples", type=int, default=500, help="of every interval")
    parser.add_argument(
        "--compare", action="store_true", help="other intervals beside the tables' own"
    )
    arguments = parser.parse_args()
    print(f"| setting | interval | {' | '.join(SCORES)} |\n|---|---|{'---|' * len(SCORES)}")
    for name, (signal, per_class, cnns) in SETTINGS.items():
        random = np.random.default_rng(0)
        truth = scores_of(study(random, signal, 30_000, 30).sum(axis=(0, 1)))
        hits: dict[str, dict[str, int]] = {}
        for seed in tqdm(range(arguments.studies), desc=name):
            counts = study(random, signal, per_class, cnns)
            own = intervals(counts, scores_of, resamples=arguments.resamples, seed=seed)
            found = {"of the tables": {score: own[score][1:] for score in SCORES}}
            if arguments.compare:
                found |= alternatives(counts, arguments.resamples, seed)
            for kind, ends in found.items():
                held = hits.setdefault(kind, dict.fromkeys(SCORES, 0))
                for score in SCORES:
                    held[score] += ends[score][0] <= truth[score] <= ends[score][1]
        for kind, held in hits.items():
            shares = " | ".join(
                f"{100 * held[score] / arguments.studies:.1f} %" for score in SCORES
            )
            print(f"| {name} | {kind} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
