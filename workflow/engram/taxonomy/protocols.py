"""Protocols: how samples are split, and which predictions are reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from engram.taxonomy.settings import DrawSettings, MatchSettings, SplitUnit
from engram.taxonomy.transfer_settings import PREFIX as TRANSFER


@dataclass(frozen=True)
class Protocol:
    """One way to split and select."""

    name: str
    split_by: Literal["content_group", "sequence"]
    """`content_group`: equal suffixes stay in one split, or more with `samples.split_by`;
    `sequence`: they may fall into several."""
    shares: tuple[float, float] | None
    """Shares of the train and validation splits, the rest is the test split; None takes the
    config's.
    """
    selection: str
    """`best_epoch`: one epoch, chosen on validation; `all_epochs`: the predictions of every epoch,
    summed.
    """
    epochs: int | None
    """Epochs of training; None takes the config's."""
    drop_unverified: bool
    """Whether samples that the model fails to reproduce are left out of training and evaluation."""

    head_poolings: tuple[str, ...] | None = None
    """How attention heads are pooled; None takes the config's."""
    trainings: int = 1
    """How often each CNN is trained per seed of the config, each time from its own seed."""

    def sample_settings(
        self,
        *,
        per_class: int,
        minimum: int,
        train: float,
        validation: float,
        match: Mapping[str, Any] | None = None,
        split_by: SplitUnit = "content_group",
    ) -> DrawSettings:
        """Return the config's section `samples` as this protocol has it: with shares of its own it
        matches no classes and splits in its own way.
        """
        chosen = MatchSettings() if self.shares else MatchSettings(**(match or {}))
        unit = self.split_by if self.shares else split_by
        train, validation = self.shares or (train, validation)
        return DrawSettings(
            per_class=per_class,
            minimum=minimum,
            train=train,
            validation=validation,
            split_by=unit,
            match=chosen,
        )

    def cnn_section(self, section: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config's section `cnn` as this protocol has it: arguments of
        `engram.cnn.settings.CnnSettings`.
        """
        changed: dict[str, Any] = {"epochs": self.epochs or section["epochs"]}
        if self.head_poolings:
            changed["head_poolings"] = list(self.head_poolings)
        if self.trainings > 1:
            changed["seeds"] = [
                self.trainings * seed + training
                for seed in section["seeds"]
                for training in range(self.trainings)
            ]
        return {**section, **changed}


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "engram",
            split_by="content_group",
            shares=None,
            selection="best_epoch",
            epochs=None,
            drop_unverified=True,
        ),
        # Exactly 4,000 of 6,000 samples per class train, the others are scored; no third split.
        Protocol(
            "paper",
            split_by="sequence",
            shares=(2 / 3, 0.0),
            selection="all_epochs",
            epochs=3,
            drop_unverified=False,
        ),
        # What the published code does: its CNNs never hear of max pooling, so each of four is
        # trained twice (there without any seed).
        Protocol(
            "reference",
            split_by="sequence",
            shares=(2 / 3, 0.0),
            selection="all_epochs",
            epochs=3,
            drop_unverified=False,
            head_poolings=("mean",),
            trainings=2,
        ),
    )
}


HELD_OUT = "held-out-"
"""Beginning of the names under which kinds of text are held out (`samples.held_out`)."""


def protocol_named(name: str) -> Protocol:
    """Return a protocol by its name; where a kind of text is held out or transferred from, `engram`
    by that name.

    Raises:
        KeyError: there is none.
    """
    if name.startswith((HELD_OUT, TRANSFER)):
        return replace(PROTOCOLS["engram"], name=name)
    return PROTOCOLS[name]
