"""The paired scorer: which of two maps of the same text is the exposed model's?

The scorer is antisymmetric. With d = map of model 1 − map of model 2, it says "model 1" where
w·d > b. Written for the exposed and the unexposed model it is s(exposed) − s(unexposed), with a
free intercept b for what separates the two models on every text (a fingerprint). So that no
fingerprint passes for recall, differences and targets are centred within each stratum, both arms
of a stratum weigh the same whatever their numbers of windows, and b is midway between both arms'
mean scores, estimated for every training window without that window.

w is that of ridge regression on the arm, ±1 (the direction of regularised discriminant analysis).
It is solved in the space of the windows, where an eigendecomposition serves all strengths of the
penalty and any number of redrawn arms: Saunders, Gammerman and Vovk, Ridge regression learning
algorithm in dual variables (1998); the scores without a window are those of Cawley and Talbot,
Efficient leave-one-out cross-validation of kernel Fisher discriminants (2003), without the change
of the stratum's centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

STRENGTHS = (10.0, 1.0, 0.1, 0.01, 0.001)
"""Penalties, as multiples of the mean eigenvalue of the windows' inner products."""
ROUNDING = 1e-9
"""Share of the largest score within which a score counts as a tie."""


@dataclass(frozen=True)
class Windows:
    """The windows of a pair, n of them."""

    arm: np.ndarray
    """+1 where model 1 alone is exposed, -1 where model 2 alone is, else 0, (n,)."""
    stratum: np.ndarray
    """Names, (n,)."""
    split: np.ndarray
    """`train`, `validation` or `test`, (n,)."""

    def rows(self, *splits: str, among: np.ndarray | None = None) -> np.ndarray:
        """Return the positions of windows of these splits that one model alone is shown."""
        found = np.isin(self.split, splits) & (self.arm != 0)
        return np.flatnonzero(found if among is None else found & among)


@dataclass(frozen=True)
class Fit:
    """A fitted scorer, or one for each of R label vectors."""

    rows: np.ndarray
    """Windows it was fitted on, (m,)."""
    weight: np.ndarray
    """Dual weights of these, (m, R): the score of a window is its inner products with them times
    the weights."""
    strength: np.ndarray
    """Penalty that was chosen, (R,), one of `STRENGTHS`."""
    strata: list[str]
    """The strata it was fitted on, S."""
    offset: np.ndarray
    """Midpoint between both arms' scores, (S, R)."""


def inner_products(difference: np.ndarray, windows: Windows) -> np.ndarray:
    """Return the inner products of all windows' standardised differences, float64 (n, n).

    Every feature is divided by its standard deviation within strata over the training windows,
    whatever their arms; features that do not vary there are left out.

    Args:
        difference: map of model 1 − map of model 2, (n, F).
        windows: of the same n.
    """
    scaled = standardised(difference, windows)
    return (scaled @ scaled.T).astype(np.float64)


def standardised(difference: np.ndarray, windows: Windows) -> np.ndarray:
    """Return differences (n, F) divided by `feature_scale`, and 0 where that is 0; float32."""
    scale = feature_scale(difference, windows)
    return np.divide(difference, scale, out=np.zeros(difference.shape, np.float32), where=scale > 0)


def feature_scale(difference: np.ndarray, windows: Windows) -> np.ndarray:
    """Return the standard deviation of each feature within strata over training windows, (F,)
    float32; 0 where it is not above the rounding of its values.
    """
    rows = windows.rows("train")
    values = np.asarray(difference[rows], np.float64)
    centred = _centre(values, windows.stratum[rows])
    spread = np.sqrt(np.square(centred).mean(axis=0))
    largest = np.abs(values).max(axis=0, initial=0)
    return np.where(spread > 1e-6 * largest, spread, 0).astype(np.float32)


def fit(
    products: np.ndarray,
    arms: np.ndarray,
    windows: Windows,
    among: np.ndarray | None = None,
    strengths: tuple[float, ...] = STRENGTHS,
) -> Fit:
    """Fit a scorer for every label vector: the strength by the validation windows, then the weights
    by training and validation windows together.

    The strength is the one whose scores correlate most with the arms within the strata of the
    validation windows.

    Args:
        products: inner products (n, n) of `inner_products`.
        arms: label vectors (n, R), +1 or -1 where one model is exposed; 0 elsewhere.
        windows: their strata and splits; its own arms say only which windows have one.
        among: windows that may be used, bool (n,).
        strengths: penalties to choose from.
    """
    return fit_prepared(Prepared(products, windows, among), arms, strengths)


class Prepared:
    """What the fits of all label vectors on the same windows share: two eigendecompositions.

    Args:
        products: inner products (n, n) of `inner_products`.
        windows: their strata and splits.
        among: windows that may be used, bool (n,).
    """

    def __init__(
        self, products: np.ndarray, windows: Windows, among: np.ndarray | None = None
    ) -> None:
        self.products, self.windows = products, windows
        self.held = windows.rows("validation", among=among)
        self.both = windows.rows("train", "validation", among=among)
        train = windows.rows("train", among=among)
        self.path_of_train = _Path(products, train, windows.stratum) if len(self.held) else None
        self.path_of_both = _Path(products, self.both, windows.stratum)


def fit_prepared(
    prepared: Prepared, arms: np.ndarray, strengths: tuple[float, ...] = STRENGTHS
) -> Fit:
    """Fit a scorer for every label vector (n, R), as `fit` does."""
    products, windows = prepared.products, prepared.windows
    held, both = prepared.held, prepared.both
    chosen = np.zeros(arms.shape[1], np.int64)
    if (path := prepared.path_of_train) and len(strengths) > 1:
        targets = path.targets(arms)
        quality = [
            separation(
                path.scores(products, held, path.dual(targets, value)),
                arms[held],
                windows.stratum[held],
            )
            for value in strengths
        ]
        chosen = np.argmax(quality, axis=0)  # (R,)
    path = prepared.path_of_both
    targets = path.targets(arms)
    weight, unbiased = np.empty_like(targets), np.empty_like(targets)
    for position in np.unique(chosen):
        some = chosen == position
        value = strengths[position]
        weight[:, some] = path.dual(targets[:, some], value)
        unbiased[:, some] = targets[:, some] - weight[:, some] / path.inverse_diagonal(value)
    fitted = path.in_sample(weight)
    strata = sorted(set(windows.stratum[both]))
    offset = np.empty((len(strata), arms.shape[1]))
    for s, name in enumerate(strata):
        own = windows.stratum[both] == name
        # Scores are relative to the stratum's centre; outside the sample they are not.
        centre = (products[np.ix_(both[own], both)] @ weight).mean(axis=0) - fitted[own].mean(0)
        offset[s] = centre + _midpoint(unbiased[own], arms[both[own]])
    return Fit(both, weight, np.array(strengths)[chosen], strata, offset)


def scores(products: np.ndarray, fitted: Fit, rows: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Return scores w·d − b of some windows, (r, R); above 0 they say that model 1 is exposed.

    Args:
        products: inner products (n, n).
        fitted: the scorers.
        rows: positions of the windows, (r,).
        stratum: of all windows, (n,); the offset of a stratum that was not fitted is the mean of
            the others'.
    """
    raw = products[np.ix_(rows, fitted.rows)] @ fitted.weight
    # What is left of a sum that should vanish is a tie, not a decision.
    raw[np.abs(raw) < ROUNDING * np.abs(products).max(initial=0)] = 0
    names = {name: s for s, name in enumerate(fitted.strata)}
    mean = fitted.offset.mean(axis=0)
    offsets = np.stack([fitted.offset[names[x]] if x in names else mean for x in stratum[rows]])
    return raw - offsets


def midpoint_offsets(raw: np.ndarray, arms: np.ndarray) -> np.ndarray:
    """Return the midpoint between both arms' mean scores, (R,): the intercept for windows of other
    strata or models, from scores (r, R) that were not fitted to them.
    """
    return _midpoint(raw, arms)


class _Path:
    """Ridge regressions on one set of windows: all penalties, any targets."""

    def __init__(self, products: np.ndarray, rows: np.ndarray, stratum: np.ndarray) -> None:
        self.rows, self.stratum = rows, stratum[rows]
        own = _centre(_centre(products[np.ix_(rows, rows)], self.stratum).T, self.stratum)
        values, self.vectors = eigh((own + own.T) / 2)
        # Windows that differ by a constant alone leave rounding, which is nothing to learn from.
        rounding = ROUNDING * np.abs(products).max(initial=0)
        self.values = np.where(values > rounding, values, 0)
        self.unit = float(self.values.mean()) if self.values.any() else 1.0

    def targets(self, arms: np.ndarray) -> np.ndarray:
        """Return targets (m, R) of label vectors (n, R): both arms of a stratum sum alike."""
        own = arms[self.rows].astype(np.float64)
        found = np.zeros_like(own)
        for name in np.unique(self.stratum):
            part = self.stratum == name
            first, second = (own[part] > 0).sum(0), (own[part] < 0).sum(0)
            size = part.sum() / 2
            found[part] = np.where(
                own[part] > 0, size / np.maximum(first, 1), -size / np.maximum(second, 1)
            ) * ((first > 0) & (second > 0))
        return found

    def dual(self, targets: np.ndarray, strength: float) -> np.ndarray:
        """Return the dual weights, (m, R)."""
        inside = self.vectors.T @ targets
        return self.vectors @ (inside / (self.values + strength * self.unit)[:, None])

    def inverse_diagonal(self, strength: float) -> np.ndarray:
        """Return the diagonal of the inverse of what was solved, (m, 1)."""
        return (self.vectors**2 @ (1 / (self.values + strength * self.unit)))[:, None]

    def in_sample(self, weight: np.ndarray) -> np.ndarray:
        """Return the centred scores of the fitted windows, (m, R)."""
        return self.vectors @ (self.values[:, None] * (self.vectors.T @ weight))

    def scores(self, products: np.ndarray, rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Return scores of other windows, (r, R), without an offset."""
        return products[np.ix_(rows, self.rows)] @ weight


def _centre(values: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Return values (m, …) without their mean over the stratum."""
    centred = np.array(values, dtype=np.float64)
    for name in np.unique(stratum):
        own = stratum == name
        centred[own] -= centred[own].mean(axis=0)
    return centred


def _midpoint(values: np.ndarray, arms: np.ndarray) -> np.ndarray:
    """Return midway between the means of both arms, (m, R) → (R,)."""
    first, second = arms > 0, arms < 0
    means = [
        (values * part).sum(axis=0) / np.maximum(part.sum(axis=0), 1) for part in (first, second)
    ]
    return (means[0] + means[1]) / 2


def separation(values: np.ndarray, arms: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Return the correlation of scores and arms (r, R) within strata, (R,); 0 without variation."""
    x, y = _centre(values, stratum), _centre(arms, stratum)
    norm = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.divide((x * y).sum(axis=0), norm, out=np.zeros(x.shape[1]), where=norm > 0)
