"""Rates against size: planted slopes come back, intervals cover them, equal slopes are equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress

from engram.io.errors import EngramError
from engram.series.rates import bucket, fit_measures, fit_sizes

SIZES = (1e6, 4e6, 2e7)


def series(
    slopes: Mapping[str, float],
    texts: int = 150,
    seed: int = 0,
    sizes: Sequence[float] = SIZES,
    scatter: float = 0.0,
) -> pd.DataFrame:
    """Families with planted slopes; a text that is hard for one model is hard for all."""
    generator = np.random.default_rng(seed)
    hard = generator.random(texts)
    rows = []
    for family, slope in slopes.items():
        for size in sizes:
            rate = 0.3 + slope * (np.log10(size) - 6) + scatter * generator.normal()
            own = generator.random(texts)
            value = np.where(generator.random(texts) < 0.5, hard, own) < rate
            rows.append(
                pd.DataFrame(
                    {
                        "family": family,
                        "model": f"{family}-{size:g}",
                        "parameters": size,
                        "content_group": np.arange(texts),
                        "value": value.astype(float),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def test_lines_are_those_of_least_squares() -> None:
    table = series({"a": 0.2, "b": 0.05}, sizes=(1e6, 3e6, 1e7, 5e7))
    fits = fit_sizes(table, resamples=200)
    assert fits.models["n"].tolist() == [150] * 8
    for row in fits.families.itertuples():
        own = fits.models[fits.models["family"] == row.family]
        rates = table[table["family"] == row.family].groupby("parameters")["value"].mean()
        np.testing.assert_allclose(own["rate"], rates)
        line = linregress(np.log10(own["parameters"]), own["rate"])
        assert row.slope == pytest.approx(line.slope)
        assert row.intercept == pytest.approx(line.intercept)
        assert row.r_squared == pytest.approx(line.rvalue**2)
        half = 4.302652729911275 * line.stderr  # Student's t of two degrees of freedom
        assert row.slope_models_high - row.slope == pytest.approx(half)
        assert row.slope_low < row.slope < row.slope_high
    assert fits.models["rate"].between(fits.models["rate_low"], fits.models["rate_high"]).all()


def test_the_analysis_of_covariance_is_that_of_two_regressions() -> None:
    table = series({"a": 0.2, "b": 0.02, "c": 0.1}, sizes=(1e6, 3e6, 1e7, 5e7), scatter=0.03)
    fits = fit_sizes(table, resamples=50)
    models = fits.models
    x = np.log10(models["parameters"].to_numpy())
    family = np.array([(models["family"] == name).to_numpy(float) for name in "abc"]).T  # (M, F)
    designs = np.column_stack([family, x]), np.column_stack([family, family * x[:, None]])
    residual = []
    for design in designs:
        solution = np.linalg.lstsq(design, models["rate"], rcond=None)[0]
        residual.append(((models["rate"] - design @ solution) ** 2).sum())
    expected = (residual[0] - residual[1]) / 2 / (residual[1] / 6)
    assert fits.equal.f == pytest.approx(expected) and fits.equal.f_freedom == (2, 6)
    assert 0 < fits.equal.p_models < 1


def test_intervals_cover_the_planted_slope_and_equal_slopes_pass() -> None:
    covered, shared, rejected = [], [], []
    for seed in range(30):
        fits = fit_sizes(series({"a": 0.15, "b": 0.15}, seed=seed), resamples=150, seed=seed)
        covered += [(row.slope_low <= 0.15 <= row.slope_high) for row in fits.families.itertuples()]
        shared.append(fits.equal.slope_low <= 0.15 <= fits.equal.slope_high)
        rejected.append((fits.equal.p_texts < 0.05, fits.equal.p_bootstrap < 0.05))
    assert 0.85 < np.mean(covered) < 1
    assert np.mean(shared) > 0.8
    assert (np.mean(rejected, axis=0) < 0.2).all()


def test_unequal_slopes_are_found() -> None:
    equal = fit_sizes(series({"a": 0.3, "b": 0.0, "c": 0.3}, texts=400)).equal
    assert equal.families == 3 and equal.p_texts < 1e-4 and equal.p_bootstrap < 0.01
    assert 0 < equal.slope < 0.3


def test_copies_of_texts_do_not_narrow_the_interval() -> None:
    table = series({"a": 0.15})
    once = fit_sizes(table).families.iloc[0]
    copied = fit_sizes(pd.concat([table] * 4, ignore_index=True)).families.iloc[0]
    np.testing.assert_allclose(copied["slope_low"], once["slope_low"])
    np.testing.assert_allclose(copied["slope_high"], once["slope_high"])


def test_two_sizes_have_no_interval_over_models() -> None:
    fits = fit_sizes(series({"a": 0.2, "b": 0.2}, sizes=(1e6, 1e7)), resamples=50)
    assert fits.families[["slope_models_low", "slope_models_high"]].isna().all(axis=None)
    assert np.isnan(fits.equal.f) and np.isnan(fits.equal.p_models)
    assert fit_sizes(series({"a": 0.2}), resamples=10).equal is None


def test_tables_without_a_line_are_refused() -> None:
    table = series({"a": 0.2})
    for broken, message in (
        (table.drop(columns="value"), "table: no column value; give family, model"),
        (table.assign(value=np.nan), "table: a value is not finite"),
        (
            table.assign(parameters=1e6),
            r"family a: 3 models of one size \(parameters\); a line needs two",
        ),
        (table.assign(parameters=0), "model a-1e.06 of family a: parameters 0"),
        (table.assign(model="m"), "model m of family a: parameters .*, 3 different values"),
    ):
        with pytest.raises(EngramError, match=message):
            fit_sizes(broken)


def test_a_family_of_one_model_has_a_rate_and_no_line() -> None:
    table = series({"a": 0.2, "b": 0.1, "c": 0.05})
    one = table[(table["family"] != "b") | (table["parameters"] == SIZES[0])]
    fits, all_lines = fit_sizes(one, resamples=100), fit_sizes(table, resamples=100)
    assert fits.families["family"].tolist() == ["a", "b", "c"]
    assert fits.families["models"].tolist() == [3, 1, 3]
    assert fits.families.drop(columns=["family", "models"]).loc[1].isna().all()
    assert fits.equal.families == 2 and list(fits.differences["first"]) == ["a"]
    kept = all_lines.families["slope"].drop(1)
    np.testing.assert_allclose(fits.families["slope"].drop(1), kept)
    alone = fit_sizes(one[one["parameters"] == SIZES[0]], resamples=100)
    assert alone.equal is None and alone.differences.empty
    rate = one.loc[one["model"] == "b-1e+06", "value"].mean()
    assert alone.models.set_index("family").loc["b", "rate"] == rate


def test_checkpoints_have_lines_over_their_steps_and_say_nothing_of_other_models() -> None:
    table = series({"a": 0.2, "b": 0.05}, texts=400)
    steps = table.rename(columns={"parameters": "step"}).assign(parameters=1000)
    planted, found = fit_sizes(table), fit_measures(steps, ["value"], axis="step")["value"]
    assert list(found.models)[:4] == ["family", "model", "parameters", "step"]
    over_texts = ["slope", "slope_low", "slope_high", "r_squared"]
    pd.testing.assert_frame_equal(found.families[over_texts], planted.families[over_texts])
    for family, slope in (("a", 0.2), ("b", 0.05)):
        line = found.families.set_index("family").loc[family]
        assert line["slope_low"] <= slope <= line["slope_high"]
    assert found.families[["slope_models_low", "slope_models_high"]].isna().all(axis=None)
    assert np.isnan(found.equal.f) and np.isnan(found.equal.p_models)
    assert found.equal.p_texts == planted.equal.p_texts
    with pytest.raises(EngramError, match=r"family a: 3 models of one size \(parameters\)"):
        fit_measures(steps, ["value"])
    with pytest.raises(EngramError, match="table: no column step"):
        fit_measures(table, ["value"], axis="step")


def test_buckets() -> None:
    score = np.array([1.0, 0.5, 0.0, 0.4, 0.39, 0.99])
    assert bucket(score).tolist() == ["full", "half", "none", "half", None, None]
    assert bucket(score, (0.35, 0.39)).tolist() == ["full", None, "none", None, "half", None]
    with pytest.raises(EngramError, match=r"half: \(0.0, 0.5\); give least and greatest"):
        bucket(score, (0.0, 0.5))


def test_measures_are_fitted_as_if_alone() -> None:
    table = series({"a": 0.2, "b": 0.05}).assign(other=lambda rows: 1 - rows["value"])
    fits = fit_measures(table, ["other", "value"], resamples=100)
    alone = fit_sizes(table, resamples=100)
    pd.testing.assert_frame_equal(fits["value"].families, alone.families)
    np.testing.assert_allclose(fits["other"].families["slope"], -alone.families["slope"])
    np.testing.assert_allclose(
        fits["other"].families["slope_low"], -alone.families["slope_high"], atol=1e-12
    )


def test_differences_of_slopes_are_of_the_same_texts() -> None:
    table = series({"a": 0.25, "b": 0.05, "c": 0.25}, texts=400)
    fits = fit_sizes(table)
    differences = fits.differences.set_index(["first", "second"])
    assert list(differences.index) == [("a", "b"), ("a", "c"), ("b", "c")]
    slopes = fits.families.set_index("family")["slope"]
    for (first, second), row in differences.iterrows():
        assert row["difference"] == pytest.approx(slopes[first] - slopes[second])
        truth = 0.2 * ((first != "b") - (second != "b"))
        assert row["low"] <= truth <= row["high"]
    assert differences.loc[("a", "b"), "low"] > 0
    # A family and its copy differ in nothing, whatever texts are drawn.
    twin = pd.concat([table, table[table["family"] == "a"].assign(family="d")])
    equal = fit_sizes(twin, resamples=50).differences.set_index(["first", "second"])
    assert equal.loc[("a", "d")].abs().max() < 1e-12


def test_the_interval_of_a_rate_that_all_texts_agree_in_has_a_width() -> None:
    table = series({"a": 0.2}).assign(value=0.0)
    models = fit_sizes(table, resamples=50).models
    assert (models["rate_low"] == 0).all() and models["rate_high"].between(0.01, 0.05).all()
