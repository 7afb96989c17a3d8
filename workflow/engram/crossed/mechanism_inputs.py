"""What is measured inside both models of a pair, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MechanismInputs:
    """What is measured inside both models of a pair, from the sections `crossed.mechanisms` and
    `mechanisms`."""

    measures: tuple[str, ...]
    """As in `CrossedMechanismsSettings`."""
    patch: int
    """Tokens of a patch (entropy)."""
    neighbours: int
    """Neighbours of a window (REMIND)."""
    share: float
    """Probability with which a token is replaced (REMIND)."""
    nearest: int
    """Nearest tokens of which one replaces it (REMIND)."""
    alphas: tuple[float, ...]
    """Strengths of the noise."""
    depth: int
    """Where noise is added."""
    scale: str
    """Scale of the noise, see `mechanisms.scale`."""
    noise_seeds: int
    """Draws of the noise."""
    seed: int
    """Of neighbours and noise."""

    @classmethod
    def of(
        cls, crossed: Mapping[str, Any], mechanisms: Mapping[str, Any], seed: int
    ) -> MechanismInputs:
        """Return what the two sections of a completed config, given as plain values, ask for."""
        return cls(
            measures=tuple(crossed["measures"]),
            patch=mechanisms["entropy"]["patch"],
            neighbours=mechanisms["remind"]["neighbours"],
            share=mechanisms["remind"]["share"],
            nearest=mechanisms["remind"]["nearest"],
            alphas=tuple(mechanisms["alphas"]),
            depth=mechanisms["depth"],
            scale=mechanisms["scale"],
            noise_seeds=crossed["noise_seeds"],
            seed=seed,
        )

    def forwards(self) -> dict[str, int]:
        """Return forwards of a window in one model, by measure."""
        strengths = sum(alpha > 0 for alpha in self.alphas)
        costs = {
            "entropy": 1,
            "remind": 1 + self.neighbours,
            "lens": 1,
            # A batch of draws holds the clean run of every window in it.
            "noise": 2 * strengths * self.noise_seeds,
        }
        return {measure: costs[measure] for measure in self.measures}
