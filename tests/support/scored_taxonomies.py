"""Taxonomies of which two are equal, and how their predictions are read."""

from __future__ import annotations

from pathlib import Path

from engram.scores.trained import Trained, read_trained

NAMES = ["Non-Memo, Guess, Others", "Non-Memo, Recite[5], Others", "Non-Memo, Recollect[5], Others"]
DRAWS = {"resamples": 200, "seed": 1}


def read(path: Path, candidates: dict[str, int]) -> Trained:
    """Read predictions under results/<study>/<model>/<protocol>/cnns/<taxonomy>/."""
    model, protocol, _, slug = path.parts[-5:-1]
    arguments = (path, model, protocol, slug, candidates)
    return read_trained(*arguments, natural=candidates, confidence=0.95, **DRAWS)
