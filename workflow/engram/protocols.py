"""Protocols: how samples are split, and which predictions are reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engram.sampling import SampleSettings


@dataclass(frozen=True)
class Protocol:
    """One way to split and select."""

    name: str
    split_by: str
    """`content_group`: equal suffixes stay in one split; `sequence`: they may fall into several."""
    shares: tuple[float, float] | None
    """Shares of the train and validation splits, the rest is the test split; None takes the config's."""
    selection: str
    """`best_epoch`: one epoch, chosen on validation; `all_epochs`: the predictions of every epoch, summed."""
    epochs: int | None
    """Epochs of training; None takes the config's."""
    drop_unverified: bool
    """Whether samples that the model fails to reproduce are left out of training and evaluation."""

    def sample_settings(self, *, per_class: int, minimum: int, train: float, validation: float) -> SampleSettings:
        """The config's section `samples` as this protocol has it."""
        train, validation = self.shares or (train, validation)
        return SampleSettings(per_class, minimum, train, validation, self.split_by)

    def cnn_section(self, section: Mapping[str, Any]) -> dict[str, Any]:
        """The config's section `cnn` as this protocol has it: arguments of `engram.training.CnnSettings`."""
        return {**section, "epochs": self.epochs or section["epochs"]}


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("engram", split_by="content_group", shares=None, selection="best_epoch", epochs=None, drop_unverified=True),
        # 4,000 of 6,000 samples per class train, the others are scored; no third split.
        Protocol("paper", split_by="sequence", shares=(2 / 3, 0.0), selection="all_epochs", epochs=3, drop_unverified=False),
    )
}
