"""What the exposures did: how much more often a window is extracted by the model that was shown it.

Every comparison is of two models on the same text, by assigned dose, whatever the models make of
it. Rows selected by outcome are counted as well; selection breaks the randomisation, so they
carry no test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engram.crossed.intervals import clustered_share, difference_interval
from engram.nursery.arms import BOTH, FIRST, NEITHER, SECOND, STRATA


def outcomes(design: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return a design with what both models make of every window.

    Args:
        design: of a pair.
        first: sequence_id, extracted and suffix_log_prob (nats per token) by model 1, and
            twin_extracted by the base.
        second: the same by model 2.

    Returns:
        the design with extracted_1, extracted_2, suffix_log_prob_1, suffix_log_prob_2,
        base_extracted; exposed and unexposed (extracted by the model that was shown the window, and
        by the other; NaN for placebo and both).
    """
    found = design.copy()
    for number, scores in ((1, first), (2, second)):
        own = scores.set_index("sequence_id").loc[design["sequence_id"]]
        found[f"extracted_{number}"] = own["extracted"].to_numpy(bool)
        found[f"suffix_log_prob_{number}"] = own["suffix_log_prob"].to_numpy(float)
        found["base_extracted"] = own["twin_extracted"].to_numpy(bool)
    is_first, is_second = found["arm"] == FIRST, found["arm"] == SECOND
    one, two = found["extracted_1"].astype(float), found["extracted_2"].astype(float)
    found["exposed"] = np.select([is_first, is_second], [one, two], np.nan)
    found["unexposed"] = np.select([is_first, is_second], [two, one], np.nan)
    return found


def effect_table(windows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return the effect of exposure per stratum and dose, on all windows and on the test windows.

    Args:
        windows: as `outcomes` gives them.
        confidence: of the intervals.

    Returns:
        split (`all`, `test`), stratum (`natural`: both kinds of natural text), dose (0: all doses);
        windows, clusters; exposed, unexposed: shares that are extracted; effect: their difference
        on the same text, with its interval; nats: the same of the suffix's log-probability, nats
        per token; base: share that the base extracts; recalled_only: share that the exposed model
        alone extracts; drift: share that the unexposed model alone extracts (never recalled);
        extracted_by_both.
    """
    rows = []
    single = windows[windows["arm"].isin([FIRST, SECOND])]
    for split in ("all", "test"):
        of_split = single if split == "all" else single[single["split"] == split]
        for stratum in ("natural", *STRATA):
            of_stratum = of_split[of_stratum_mask(of_split["stratum"].to_numpy(), stratum)]
            doses = sorted(of_stratum["dose"].unique())
            for dose in [0, *doses] if len(doses) > 1 else doses:
                some = of_stratum if dose == 0 else of_stratum[of_stratum["dose"] == dose]
                if len(some):
                    names = {"split": split, "stratum": stratum, "dose": int(dose)}
                    rows.append(names | _effect(some, confidence))
    return pd.DataFrame(rows)


def of_stratum_mask(stratum: np.ndarray, name: str) -> np.ndarray:
    """Return which windows a row of a table means: a stratum, `natural` or `all`."""
    if name == "all":
        return np.ones(len(stratum), bool)
    return stratum != "templates" if name == "natural" else stratum == name


def control_table(windows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Return what both models make of windows that neither or both were shown: model 1 − model 2.

    Returns:
        arm (`placebo`, `both`), stratum, windows, clusters, first, second (shares extracted), and
        their difference with its interval, which a sound design has around 0.
    """
    rows = []
    for arm, name in ((NEITHER, "placebo"), (BOTH, "both")):
        for stratum in ("all", *STRATA):
            some = windows[
                (windows["arm"] == arm) & of_stratum_mask(windows["stratum"].to_numpy(), stratum)
            ]
            if not len(some):
                continue
            one, two = some["extracted_1"].astype(float), some["extracted_2"].astype(float)
            cluster = some["cluster"].to_numpy()
            interval = difference_interval(one.to_numpy(), two.to_numpy(), cluster, confidence)
            rows.append(
                {
                    "arm": name,
                    "stratum": stratum,
                    "windows": len(some),
                    "clusters": some["cluster"].nunique(),
                    "first": one.mean(),
                    "second": two.mean(),
                    **interval.columns("difference"),
                }
            )
    return pd.DataFrame(rows)


def _effect(some: pd.DataFrame, confidence: float) -> dict[str, Any]:
    exposed, unexposed = some["exposed"].to_numpy(), some["unexposed"].to_numpy()
    cluster = some["cluster"].to_numpy()
    sign = np.where(some["arm"] == FIRST, 1, -1)
    nats = sign * (some["suffix_log_prob_1"] - some["suffix_log_prob_2"])
    return {
        "windows": len(some),
        "clusters": some["cluster"].nunique(),
        **clustered_share(exposed, cluster).interval(confidence).columns("exposed"),
        **clustered_share(unexposed, cluster).interval(confidence).columns("unexposed"),
        **difference_interval(exposed, unexposed, cluster, confidence).columns("effect"),
        "nats": nats.mean(),
        "base": some["base_extracted"].mean(),
        "recalled_only": (exposed > unexposed).mean(),
        "drift": (unexposed > exposed).mean(),
        "extracted_by_both": ((exposed > 0) & (unexposed > 0)).mean(),
    }
