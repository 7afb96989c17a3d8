"""What is wrong with the families of a config, and with what their rates are compared with."""

from __future__ import annotations

from collections.abc import Iterator

from engram.io.errors import EngramError
from engram.run.settings import StudyConfig
from engram.sources.entry import training_step
from engram.taxonomy.expressions import names_of


def wrong_series(study: StudyConfig) -> Iterator[str]:
    """Yield families without windows that count, and windows that cannot be chosen."""
    families = any(model.family for model in study.models)
    for model in study.models:
        if model.family and model.early_exit.tokens and not model.early_exit.scored:
            yield (
                f"models: {model.name}: early_exit.scored: a family's rates are of the share that "
                f"is scored in any case, which is 0; raise it, or leave out `family`"
            )
    yield from _wrong_steps(study)
    if study.series.where and not families:
        yield "series.where: no model has a `family`; give the models one, or leave `series` out"
    elif study.series.where:
        try:
            names_of(study.series.where)
        except EngramError as error:
            yield str(error)


def _wrong_steps(study: StudyConfig) -> Iterator[str]:
    """Yield checkpoints that no rate can be compared with."""
    for model in study.models:
        where = f"models: {model.name}"
        if model.step is not None and model.drilling.design == "crossed":
            yield f"{where}: step: crossed pairs are drilled to their end; leave it out"
        if study.series.axis != "step" or not model.family:
            continue
        if training_step(model.model_dump()) is None:
            yield (
                f"{where}: step: `series.axis: step` compares rates with it; name the model's "
                f"training step, or leave out `family`"
            )
        if model.source == "hub":
            yield (
                f"{where}: source hub: its published scores are those of the finished model; for "
                f"`series.axis: step` take the source table or corpus"
            )
