"""How often the intervals of crossed exposures cover the truth, and how often their test rejects a
true null hypothesis.

    PYTHONPATH=workflow python perf/crossed_coverage.py [--studies 2000] [--only NAME …]

writes perf/crossed_coverage.csv: every row a kind of interval or test, the setting, the share of
simulated studies, and the error of the simulation. All data are clustered. `--only` names some of
the simulations and keeps the rows of the others in the file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri

from engram.crossed.cnn import validation_offsets
from engram.crossed.cnn_scores import reached_by
from engram.crossed.differences import mean_interval
from engram.crossed.intervals import (
    clustered_share,
    difference_interval,
    mean_over_bases,
    over_bases,
    over_windows,
)
from engram.crossed.mean_differences import PairValues, mean_differences
from engram.crossed.null import redrawn, try_scorer
from engram.crossed.scorer import inner_products
from engram.nursery.arms import FIRST, SECOND

CONFIDENCE = 0.95


def main() -> None:
    """Simulate everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--nulls", type=int, default=1000)
    parser.add_argument("--redraws", type=int, default=199)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    studies = {
        simulation.__name__: simulation
        for simulation in (
            *(accuracies, shares, pairs, effects, controls),
            *(bases, costs, costs_over_bases, values),
        )
    }
    tests = {simulation.__name__: simulation for simulation in (rejections, kept_scorers)}
    parser.add_argument("--only", nargs="+", choices=[*studies, *tests], default=[])
    options = parser.parse_args()
    chosen = options.only or [*studies, *tests]
    rows = [
        row
        for name in chosen
        for row in (
            studies[name](options.studies)
            if name in studies
            else tests[name](options.nulls, options.redraws)
        )
    ]
    table = pd.DataFrame(rows)
    if options.only:
        kept = pd.read_csv(options.output).drop(columns="error")
        again = set(zip(table["kind"], table["setting"], strict=True))
        other = [key not in again for key in zip(kept["kind"], kept["setting"], strict=True)]
        table = pd.concat([kept[other], table], ignore_index=True)
    table["error"] = np.sqrt(table["share"] * (1 - table["share"]) / table["studies"])
    table.to_csv(options.output, index=False, float_format="%.4g")
    print(table.to_string(index=False))


def shares_by_cluster(
    generator: np.random.Generator, mean: float, icc: float, size: int
) -> np.ndarray:
    """Draw the shares of clusters with a mean and an intra-cluster correlation (beta)."""
    if not icc:
        return np.full(size, mean)
    total = (1 - icc) / icc
    return generator.beta(mean * total, (1 - mean) * total, size)


def accuracies(studies: int) -> Iterator[dict]:
    """Accuracy, mean of both arms, on clusters of 1 to 6 windows."""
    for mean in (0.5, 0.65, 0.9, 0.97):
        for icc in (0.0, 0.3):
            for per_arm in (10, 20, 60):
                generator, covered = np.random.default_rng([1, per_arm, int(1000 * mean)]), 0
                for _ in range(studies):
                    sizes = generator.integers(1, 7, 2 * per_arm)
                    cluster = np.repeat(np.arange(2 * per_arm), sizes)
                    share = shares_by_cluster(generator, mean, icc, 2 * per_arm)
                    hit = (generator.random(len(cluster)) < share[cluster]).astype(float)
                    arm = cluster < per_arm
                    weight = np.where(arm, 1 / arm.sum(), 1 / (~arm).sum())
                    found = clustered_share(hit, cluster, arm, weight).interval(CONFIDENCE)
                    covered += found.low <= mean <= found.high
                setting = f"accuracy {mean:g}, icc {icc:g}, {per_arm} clusters an arm"
                yield _row("accuracy over clusters", setting, covered, studies)


def shares(studies: int) -> Iterator[dict]:
    """Share of windows that a model extracts, or that a scorer gives to model 1: one group."""
    for mean in (0.02, 0.3, 0.5):
        for icc in (0.0, 0.3):
            for clusters in (20, 60):
                generator, covered = np.random.default_rng([7, clusters, int(1000 * mean)]), 0
                for _ in range(studies):
                    cluster = np.repeat(np.arange(clusters), generator.integers(1, 7, clusters))
                    share = shares_by_cluster(generator, mean, icc, clusters)
                    hit = (generator.random(len(cluster)) < share[cluster]).astype(float)
                    found = clustered_share(hit, cluster).interval(CONFIDENCE)
                    covered += found.low <= mean <= found.high
                setting = f"share {mean:g}, icc {icc:g}, {clusters} clusters"
                yield _row("share over clusters", setting, covered, studies)


def pairs(studies: int) -> Iterator[dict]:
    """Accuracy, mean over pairs of models that show the same windows, each with arms of its own."""
    grid = np.random.default_rng(0).normal(size=20_000)
    for count in (2, 6):
        for clusters in (20, 60):
            for common in (0.0, 0.8):
                generator, covered = np.random.default_rng([8, count, clusters]), 0
                levels = np.linspace(0.2, 1.4, count)
                truth = np.mean([expit(level + np.hypot(common, 0.5) * grid) for level in levels])
                for _ in range(studies):
                    cluster = np.repeat(np.arange(clusters), generator.integers(1, 7, clusters))
                    shared = common * generator.normal(size=clusters)
                    of_pairs = []
                    for level in levels:
                        own = level + shared + 0.5 * generator.normal(size=clusters)
                        hit = (generator.random(len(cluster)) < expit(own)[cluster]).astype(float)
                        arm = generator.permutation(clusters)[cluster] < clusters // 2
                        weight = np.where(arm, 1 / arm.sum(), 1 / (~arm).sum())
                        of_pairs.append(clustered_share(hit, cluster, arm, weight))
                    found = over_windows(of_pairs, CONFIDENCE)
                    covered += found.low <= truth <= found.high
                setting = f"{count} pairs, {clusters} clusters, windows in common {common:g}"
                yield _row("accuracy over pairs and clusters", setting, covered, studies)


def controls(studies: int) -> Iterator[dict]:
    """Model 1 minus model 2 on windows that neither or both were shown: the truth is 0."""
    for share in (0.02, 0.3, 0.9):
        for clusters in (20, 60, 200):
            generator, covered = np.random.default_rng([9, clusters, int(100 * share)]), 0
            for _ in range(studies):
                cluster = np.repeat(np.arange(clusters), generator.integers(1, 7, clusters))
                ease = generator.normal(size=clusters)[cluster]
                both = [_below(generator, ease, share) for _ in range(2)]
                found = difference_interval(*both, cluster, CONFIDENCE)
                covered += found.low <= 0 <= found.high
            setting = f"{share:g} in both models, {clusters} clusters"
            yield _row("difference of controls over clusters", setting, covered, studies)


def effects(studies: int) -> Iterator[dict]:
    """Exposed minus unexposed, paired: a cluster is as easy for one model as for the other."""
    for low, high in ((0.0, 0.02), (0.02, 0.3), (0.1, 0.9), (0.9, 0.95)):
        for clusters in (20, 60, 200):
            generator, covered = np.random.default_rng([2, clusters, int(100 * high)]), 0
            for _ in range(studies):
                cluster = np.repeat(np.arange(clusters), generator.integers(1, 7, clusters))
                ease = generator.normal(size=clusters)[cluster]
                one = _below(generator, ease, high)
                two = _below(generator, ease, low)
                found = difference_interval(one, two, cluster, CONFIDENCE)
                covered += found.low <= high - low <= found.high
            setting = f"{low:g} to {high:g}, {clusters} clusters"
            yield _row("effect of exposure over clusters", setting, covered, studies)


def bases(studies: int) -> Iterator[dict]:
    """Accuracy over bases that show the same windows."""
    for count in (3, 6):
        for spread in (0.1, 0.4):
            for common in (0.0, 0.6):
                generator, covered = np.random.default_rng([3, count, int(100 * spread)]), 0
                mean = 0.7
                clusters, size = 40, 4
                cluster = np.repeat(np.arange(clusters), size)
                noise = 0.5
                # The population share of a base, with clusters and bases' own noise integrated.
                grid = np.random.default_rng(0).normal(size=20_000)
                levels = np.random.default_rng(1).normal(mean, spread, 400)
                curve = [
                    expit(level + np.sqrt(common**2 + noise**2) * grid).mean() for level in levels
                ]
                truth = expit(np.mean(np.log(curve) - np.log1p(-np.array(curve))))
                for _ in range(studies):
                    shared = common * generator.normal(size=clusters)
                    pairs = []
                    for _base in range(count):
                        level = generator.normal(mean, spread)
                        own = level + shared + noise * generator.normal(size=clusters)
                        hit = (generator.random(len(cluster)) < expit(own)[cluster]).astype(float)
                        arm = generator.permutation(clusters)[cluster] < clusters // 2
                        pairs.append([clustered_share(hit, cluster, arm)])
                    found = over_bases(pairs, CONFIDENCE)
                    covered += found.low <= truth <= found.high
                setting = f"{count} bases, sd {spread:g}, windows in common {common:g}"
                yield _row("accuracy over bases", setting, covered, studies)


def costs(studies: int) -> Iterator[dict]:
    """Difference in differences of a knock-out, in nats: skewed costs that clusters share."""
    for clusters in (12, 30, 60):
        for skew in (0.3, 1.0):
            generator, covered = np.random.default_rng([5, clusters, int(10 * skew)]), 0
            for _ in range(studies):
                cluster = np.repeat(np.arange(clusters), generator.integers(1, 4, clusters))
                shared = generator.normal(size=clusters)[cluster]
                noise = (shared + generator.normal(size=len(cluster))) * skew / np.sqrt(2)
                cost = np.exp(noise - skew**2 / 2) + generator.normal(size=len(cluster)) - 0.4
                weight = np.full(len(cost), 1 / len(cost))
                found = mean_interval(cost, weight, cluster, CONFIDENCE)
                covered += found.low <= 0.6 <= found.high
            setting = f"{clusters} clusters, log-normal costs of sd {skew:g}"
            yield _row("knock-out over clusters", setting, covered, studies)


def costs_over_bases(studies: int) -> Iterator[dict]:
    """Difference in differences of a knock-out over bases: bases differ, and share windows."""
    clusters = 30
    for count in (2, 3, 6):
        for spread in (0.0, 1.0, 5.0):
            generator, covered = np.random.default_rng([7, count, int(10 * spread)]), 0
            for _ in range(studies):
                shared = generator.normal(size=clusters)
                values = shared[:, None] + generator.normal(size=(clusters, count))
                values += 0.6 + spread * generator.normal(size=count)
                mean = values.mean(axis=0)
                error = pd.DataFrame((values - mean) / np.sqrt(clusters * (clusters - 1)))
                found = mean_over_bases(mean, error, clusters - 1, CONFIDENCE)
                covered += found.low <= 0.6 <= found.high
            setting = f"{count} bases, sd {spread:g} between them"
            yield _row("knock-out over bases", setting, covered, studies)


def values(studies: int) -> Iterator[dict]:
    """Differences of measured values, exposed − unexposed: skewed, varying by cluster, with a
    fingerprint of either model on every text.
    """
    names = pd.MultiIndex.from_tuples([("entropy", "entropy")], names=["measure", "value"])
    for clusters in (48, 120, 240):
        for skew in (0.3, 1.0):
            generator, covered = np.random.default_rng([7, clusters, int(10 * skew)]), 0
            for study in range(studies):
                design = simulated_design(generator, clusters)
                arms, shape = redrawn(design, 0, study), (2, len(design))
                noise = generator.normal(size=(2, clusters))[:, design["cluster"]]
                noise = skew * (noise + generator.normal(size=shape)) / np.sqrt(2)
                one, two = np.exp(noise - skew**2 / 2)
                effect = 0.3 * arms.windows.arm / 2
                frames = [
                    pd.DataFrame(x[:, None], columns=names)
                    for x in (one + 5 + effect, two - effect)
                ]
                table = mean_differences({"pair": PairValues(arms, *frames)}, CONFIDENCE)
                row = table[table["stratum"] == "all"].iloc[0]
                covered += row["difference_low"] <= 0.3 <= row["difference_high"]
            setting = f"{clusters // 4} test clusters, log-normal values of sd {skew:g}"
            yield _row("difference of values over clusters", setting, covered, studies)


def rejections(nulls: int, redraws: int) -> Iterator[dict]:
    """The permutation test at 5 % where exposure changes nothing; features vary by cluster, and a
    model has a fingerprint.
    """
    for fingerprint in (0.0, 3.0):
        rejected = 0
        for study in range(nulls):
            generator = np.random.default_rng([4, study])
            design = simulated_design(generator, clusters=90)
            arms = redrawn(design, redraws, study)
            of_cluster = generator.normal(size=(90, 60))[design["cluster"]]
            maps = generator.normal(size=(len(design), 60)) + of_cluster + fingerprint
            products = inner_products(maps.astype(np.float32), arms.windows)
            everything = np.ones(len(design), bool)
            found = try_scorer(products, arms, everything, {"all": everything})
            rejected += found["all"].p <= 0.05
        setting = f"90 clusters, fingerprint {fingerprint:g}, {redraws} redraws"
        yield _row("permutation test rejects a true null", setting, rejected, nulls, 0.05)


def kept_scorers(nulls: int, redraws: int) -> Iterator[dict]:
    """The permutation test of CNNs at 5 %, which keeps the scorer and redraws the arms of the test
    clusters: any scores that vary by cluster, and a fingerprint less its intercept.
    """
    for fingerprint in (0.0, 3.0):
        rejected = 0
        for study in range(nulls):
            generator = np.random.default_rng([6, study])
            design = simulated_design(generator, clusters=90)
            arms = redrawn(design, redraws, study)
            score = generator.normal(size=90)[design["cluster"]] + fingerprint
            score += generator.normal(size=len(design))
            own, windows = arms.drawn[:, 0].astype(np.int64), arms.windows
            strata, place = np.unique(windows.stratum, return_inverse=True)
            score -= validation_offsets(score, own, windows, strata)[place]
            test = arms.windows.rows("test")
            rejected += reached_by(score, arms, test).p <= 0.05
        setting = f"scorer kept, 90 clusters, fingerprint {fingerprint:g}, {redraws} redraws"
        yield _row("permutation test rejects a true null", setting, rejected, nulls, 0.05)


def simulated_design(generator: np.random.Generator, clusters: int) -> pd.DataFrame:
    """Return a design of clusters of 1 to 6 windows in two strata, as `draw_design` gives one."""
    number = np.repeat(np.arange(clusters), generator.integers(1, 7, clusters))
    stratum = np.where(np.arange(clusters) % 3 == 0, "high", "low")
    split = np.array(["train", "train", "validation", "test"], object)[np.arange(clusters) // 3 % 4]
    arm = np.zeros(clusters, int)
    for name in ("high", "low"):
        for part in ("train", "validation", "test"):
            own = np.flatnonzero((stratum == name) & (split == part))
            own = generator.permutation(own)[len(own) // 10 :]
            half = np.where(np.arange(len(own)) % 2, FIRST, SECOND)
            arm[own] = half if generator.random() < 0.5 else FIRST + SECOND - half
    return pd.DataFrame(
        {
            "sequence_id": np.arange(len(number)),
            "cluster": number,
            "stratum": stratum[number],
            "block": stratum[number],
            "split": split[number],
            "dose": np.where(arm > 0, 40, 0)[number],
            "arm": arm[number],
        }
    )


def _below(generator: np.random.Generator, ease: np.ndarray, share: float) -> np.ndarray:
    """Draw 0 or 1 with a given mean; windows of one ease agree more than others."""
    noise = np.sqrt(0.4) * ease + np.sqrt(0.6) * generator.normal(size=len(ease))
    return (noise < ndtri(share)).astype(float)


def _row(
    kind: str, setting: str, hits: int, studies: int, nominal: float = CONFIDENCE
) -> dict[str, object]:
    return {
        "kind": kind,
        "setting": setting,
        "nominal": nominal,
        "share": hits / studies,
        "studies": studies,
    }


if __name__ == "__main__":
    main()
