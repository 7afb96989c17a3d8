"""How many matched pairs the test of equivalence needs, and how often it is wrong.

    PYTHONPATH=workflow python perf/matched_power.py [--studies 150]

simulates test sets of matched pairs on which the rival is at chance and the CNNs are better by a
known difference of balanced accuracy, and writes perf/matched_power.csv: the share of studies with
each verdict. docs/plans/2026-11-matched.md quotes it. It takes a minute and a half.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from engram.scores.equivalence import equivalence
from engram.scores.matched_table import Margins, resampled

BOUND, CONFIDENCE, RESAMPLES = 0.05, 0.95, 300
PAIRS = (50, 100, 200, 400, 800, 1600)
DIFFERENCES = (0.0, 0.025, 0.05, 0.1)
CNNS = 4
SHARED = 0.7
"""Share of the variance of a CNN's logits that all CNNs have in common."""
ALIKE = 0.3
"""Share of the variance of the rival's logits that it has in common with the CNNs."""
BIAS = 0.1
"""Standard deviation of the CNNs' biases, in standard deviations of their logits."""


def main() -> None:
    """Simulate every setting and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=150)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    table = pd.DataFrame(
        [
            {
                "pairs": pairs,
                "difference": difference,
                **verdicts(pairs, difference, options.studies),
            }
            for pairs in PAIRS
            for difference in DIFFERENCES
        ]
    )
    table.to_csv(options.output, index=False, float_format="%.4g")
    print(table.to_string(index=False))


def verdicts(pairs: int, difference: float, studies: int) -> dict[str, float]:
    """Return the share of simulated studies with each verdict.

    Args:
        pairs: matched pairs of the test set.
        difference: of the balanced accuracies of the CNNs and the rival.
        studies: how many.
    """
    counts = dict.fromkeys(("equivalent", "different", "inconclusive"), 0)
    covered = 0
    for seed in range(studies):
        label, inputs = simulated(pairs, difference, np.random.default_rng([pairs, seed]))
        drawn = resampled(
            inputs, label, np.arange(2 * pairs), RESAMPLES, seed, ["balanced_accuracy"]
        )
        paired = drawn["attention"]["balanced_accuracy"] - drawn["rival"]["balanced_accuracy"]
        tested = equivalence(float(paired[0]), paired[1:], BOUND, CONFIDENCE)
        counts[tested.verdict] += 1
        covered += tested.difference.low <= difference <= tested.difference.high
    shares = {name: count / studies for name, count in counts.items()}
    return {"cnns": CNNS, **shares, "covered": covered / studies, "studies": studies}


def simulated(
    pairs: int, difference: float, random: np.random.Generator
) -> tuple[np.ndarray, dict[str, Margins]]:
    """Return the labels of a matched test set, and what the CNNs and the rival say of it.

    All noise is normal. The rival knows nothing of the class; the CNNs' balanced accuracy is .5 +
    difference on average.
    """
    label = np.repeat([0, 1], pairs)
    common = random.normal(size=2 * pairs)
    own = random.normal(size=(CNNS, 2 * pairs))
    noise = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own
    # With the biases, the spread of the logits is that of both.
    signal = ndtri(0.5 + difference) * np.sqrt(1 + BIAS**2)
    bias = BIAS * random.normal(size=(CNNS, 1))
    names = tuple(f"cnn/{number}" for number in range(CNNS))
    rival = np.sqrt(ALIKE) * common + np.sqrt(1 - ALIKE) * random.normal(size=2 * pairs)
    return label, {
        "attention": Margins(names, noise + bias + signal * (2 * label - 1)),
        "rival": Margins(("logistic/0",), rival[None]),
    }


if __name__ == "__main__":
    main()
