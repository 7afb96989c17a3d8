"""What is wrong with the sections of a config together, or with the files that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engram.auditing.templates import DIRECTIONS, prompt
from engram.cnn.architecture import PAPER_POOLING, last_side
from engram.io.errors import EngramError
from engram.io.settings import Settings
from engram.io.spans import Spans
from engram.nursery.settings import CrossedDesign, DrillingKeys, DrillingSettings
from engram.run.series_mistakes import wrong_series
from engram.run.settings import ModelEntry, StudyConfig
from engram.run.study_taxonomies import (
    attacked,
    compared_classes,
    knocked_out,
    localized,
    named_taxonomies,
    parse_taxonomy,
    series_taxonomies,
    steered,
    transfer_lists,
)
from engram.sources.entry import brings_duplicates, complete_entry
from engram.taxonomy.expressions import names_of
from engram.taxonomy.partitions import Named
from engram.taxonomy.taxonomy import NON_MEMO, OTHERS, Taxonomy, categories_from_config

RESERVED = frozenset(
    {
        *("tables", "figures", "logs", "benchmarks", "tracking", "all"),
        *("run.json", "report.html", "explorer.html", "explorer_pairs.html"),
        *("audit.html", "audit.yaml"),
    }
)
"""Names that no model may have: files and folders under results/<study>/, and `all`, which means
the sum over models in tables and figures."""


def mistakes_of(study: StudyConfig, config: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the sections together, or with the machine's files; the completed
    config is given both as a model and as plain values.
    """
    yield from _wrong_names(study)
    for model in study.models:
        yield from _unused_keys(model)
    for entry in config["models"]:
        yield from _error_of(complete_entry, entry)
    yield from _wrong_pairs(study)
    yield from _wrong_code_classifier(study)
    yield from _wrong_windows(study)
    yield from _wrong_blocks(study)
    yield from _wrong_audit(study)
    yield from _wrong_seeds(study)
    yield from wrong_series(study)
    yield from _wrong_taxonomies(config)
    yield from _error_of(series_taxonomies, config)
    yield from _wrong_flow(config)
    yield from _wrong_search(config)


def _error_of(function: Callable[..., object], *arguments: Any) -> Iterator[str]:
    """Yield the message of the error that a function raises."""
    try:
        function(*arguments)
    except EngramError as error:
        yield str(error)


def _wrong_names(study: StudyConfig) -> Iterator[str]:
    if study.study == "nursery_base":
        yield (
            "study: results/nursery_base/ is where `snakemake nursery_base` writes; choose another "
            "name"
        )
    names = [model.name for model in study.models]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            yield f"models: {names.count(name)} models are named {name}; give each its own name"
        if name in RESERVED:
            yield (
                f"models: results/{study.study}/{name} is not a model's folder; choose another "
                f"name than {name}"
            )


def _unused_keys(model: ModelEntry) -> Iterator[str]:
    """Yield the keys that would do nothing, with the sources that use them.

    A value that is the default says nothing, because a completed config is a config too."""
    for keys in type(model).__bases__:
        users = getattr(keys, "used_by", (model.source,))
        if model.source in users or not issubclass(keys, Settings):
            continue
        for key, field in keys.model_fields.items():
            value = getattr(model, key)
            if value != (type(value)() if isinstance(value, Settings) else field.default):
                yield (
                    f"models: {model.name}: source {model.source} does not use `{key}`, it is a "
                    f"key of {', '.join(users)}; leave it out"
                )


def _wrong_pairs(study: StudyConfig) -> Iterator[str]:
    """Yield models of crossed exposures without their counterpart, and a study of nothing."""
    models = {model.name: model for model in study.models}
    own = ("name", "counterpart", "arm", "shards")
    shared = [key for key in ModelEntry.model_fields if key not in own]
    for model in study.models:
        where, crossed = f"models: {model.name}", model.drilling.design == "crossed"
        # Without a design, a counterpart is a published model.
        named = model.counterpart in models or model.source == "nursery"
        wrong = bool(model.counterpart) and named if not crossed else not model.counterpart
        if wrong or crossed != bool(model.arm):
            yield (
                f"{where}: `drilling.design: crossed`, `counterpart` and `arm` (1 or 2) go "
                f"together; give all three or none"
            )
            continue
        yield from _wrong_drilling(model)
        if model.counterpart_revision and (crossed or not model.counterpart):
            yield (
                f"{where}: `counterpart_revision` belongs to a counterpart that is a repository; "
                f"leave it out"
            )
        if not crossed:
            continue
        if model.shape.architecture != "base":
            yield (
                f"{where}: shape.architecture: {model.shape.architecture}; a crossed pair is "
                f"drilled from its base, leave `shape` out"
            )
        other = models.get(model.counterpart)
        if other is None or other.counterpart != model.name or {model.arm, other.arm} != {1, 2}:
            yield (
                f"{where}: counterpart `{model.counterpart}` is not the other half of the pair; "
                f"it must be a model of this study that names `{model.name}` as its counterpart, "
                f"one with `arm: 1` and one with `arm: 2`"
            )
            continue
        for key in shared if model.arm == 1 else ():
            if getattr(model, key) != getattr(other, key):
                yield (
                    f"{where}: `{key}` differs from that of its counterpart `{other.name}`; the "
                    f"models of a pair may differ only in the windows that they are shown"
                )
    whole = any(model.arm or model.family for model in study.models)
    if not study.taxonomies and not whole and not study.audit.enabled:
        yield "taxonomies: none is given; name one, e.g. Non-Memo, Guess, Others"


def _wrong_drilling(model: ModelEntry) -> Iterator[str]:
    """Yield what a drilling of a model of another source than the nursery cannot be."""
    where, drilling = f"models: {model.name}", model.drilling
    if model.source == "nursery":
        return
    if not model.arm:
        if model.source in DrillingKeys.used_by and drilling != DrillingSettings():
            yield (
                f"{where}: `drilling` of source {model.source} is for crossed pairs; set "
                f"`drilling.design: crossed`, or leave it out"
            )
        return
    if drilling.crossed.templates not in (0, CrossedDesign().templates):
        yield (
            f"{where}: drilling.crossed.templates: {drilling.crossed.templates}; only the nursery "
            f"has template windows, leave it out"
        )
    if model.twin:
        yield (
            f"{where}: `twin` is given, but the twin of a model that is drilled here is its base; "
            f"leave it out"
        )


def _wrong_code_classifier(study: StudyConfig) -> Iterator[str]:
    classifier = study.code_classifier
    if classifier.revision and not classifier.model:
        yield (
            "code_classifier.model: it is empty, although a revision is given; name the repository"
        )
    if classifier.model and not classifier.revision and not Path(classifier.model).exists():
        yield (
            f"code_classifier.model: {classifier.model} is neither a file nor a folder here, so it "
            f"is taken for a repository, which needs `code_classifier.revision`"
        )


def _wrong_windows(study: StudyConfig) -> Iterator[str]:
    """Yield sizes that do not fit prefix and suffix."""
    tokens, pooling = study.prefix + study.suffix, study.cnn.pooling_kernel
    rows = Spans(0, study.prefix, study.suffix, study.attention.block).rows
    too_large = [
        kernel
        for kernel in (*study.cnn.kernels, *study.cnn.baseline_grid.kernels)
        if last_side(rows, kernel, pooling) < 1
    ]
    if too_large:
        pooled = f" with cnn.pooling_kernel {pooling}" * (pooling != PAPER_POOLING)
        blocks = f" in {rows} blocks of attention.block" * (study.attention.block > 1)
        yield (
            f"cnn.kernels: {min(too_large)}{pooled} is too large for windows of prefix + suffix = "
            f"{tokens} tokens{blocks}; take smaller kernels"
        )
    for model in study.models:
        if model.early_exit.tokens >= study.suffix:
            yield (
                f"models: {model.name}: early_exit.tokens: {model.early_exit.tokens} is not less "
                f"than suffix, {study.suffix}; take fewer tokens, or 0 for no early exit"
            )
        if model.early_exit.tokens and "memorization_score" in model.columns:
            yield (
                f"models: {model.name}: early_exit.tokens: the table has a column of scores, so no "
                f"window is scored; leave it out"
            )
    crossed = study.crossed.cnn
    trained = crossed.inputs and any(model.arm for model in study.models)
    if trained and last_side(tokens, crossed.kernel) < 1:
        yield (
            f"crossed.cnn.kernel: {crossed.kernel} is too large for windows of prefix + suffix = "
            f"{tokens} tokens; take a smaller one, or none with crossed.cnn.inputs: []"
        )
    trains_base = any(model.source == "nursery" for model in study.models)
    if trains_base and (row := study.nursery_base.text.row_tokens) < tokens:
        yield (
            f"nursery_base.text.row_tokens: {row} is less than prefix + suffix = {tokens}; a "
            f"window must fit into a row"
        )


def _wrong_blocks(study: StudyConfig) -> Iterator[str]:
    """Yield what needs maps of single tokens, where the study stores blocks."""
    if (block := study.attention.block) == 1:
        return
    for protocol in study.protocols:
        if protocol != "engram":
            yield (
                f"attention.block: {block}; the protocol `{protocol}` has a cell for every token, "
                f"set it to 1, or leave the protocol out"
            )
    if any(model.arm for model in study.models):
        yield (
            f"attention.block: {block}; crossed pairs are compared token by token, set it to 1, or "
            f"study the pair elsewhere"
        )


def _wrong_audit(study: StudyConfig) -> Iterator[str]:
    """Yield an audit of nothing, or with a rule that cannot be read."""
    if not study.audit.enabled:
        return
    if not any(model.source == "corpus" for model in study.models):
        yield (
            "audit.enabled: no model has documents; give a model `source: corpus` and `documents`, "
            "or leave the audit out"
        )
    for model in study.models:
        if model.source == "corpus" and model.early_exit.tokens:
            yield (
                f"models: {model.name}: early_exit.tokens: an audit scores every window in full; "
                f"leave out early_exit or the audit"
            )
    cnns = study.audit.cnns
    if cnns and not Path(cnns).is_dir():
        yield f"audit.cnns: {cnns}: no such folder; name that of a finished study, results/<study>"
    elif cnns and Path(cnns).resolve() == Path("results", study.study).resolve():
        yield (
            f"audit.cnns: {cnns} is the folder of this study; give the audit a study of another "
            f"name"
        )
    if study.audit.redact and (study.taxonomies or study.search.categories):
        yield (
            "audit.redact: the study has taxonomies, whose candidates hold texts; leave out "
            "`taxonomies` and `search`, or set `redact: false`"
        )
    for direction in DIRECTIONS:
        yield from _error_of(prompt, getattr(study.audit.pairs, direction), direction)
    yield from _error_of(
        Taxonomy.parse,
        study.audit.taxonomy,
        categories_from_config([entry.model_dump() for entry in study.categories]),
    )


def _wrong_seeds(study: StudyConfig) -> Iterator[str]:
    """Yield seeds from which the protocol `reference` cannot derive two."""
    largest = max(study.cnn.seeds)
    if "reference" in study.protocols and 2 * largest + 1 >= 2**32:
        yield (
            f"cnn.seeds: {largest} is too large for the protocol `reference`, which trains from "
            f"the seeds 2 n and 2 n + 1; take a seed below 2^31"
        )


def _wrong_taxonomies(config: dict[str, Any]) -> Iterator[str]:
    """Yield taxonomies that cannot be read, trained, localized or knocked out."""
    try:
        named = named_taxonomies(config)
    except EngramError as error:
        yield str(error)
        return
    yield from _unknown_classes(config, named)
    yield from _missing_duplicates(config, {entry.trained.name: entry.trained for entry in named})
    yield from _error_of(localized, config, named)
    yield from _error_of(knocked_out, config, named)
    yield from _error_of(compared_classes, config, named)
    if config["matched"]["pairs"] and "engram" not in config["protocols"]:
        yield (
            "matched.pairs: the comparison needs a validation split; add `engram` to `protocols`"
        )
    yield from _wrong_transfer(config, named)
    yield from _error_of(steered, config, named)
    yield from _error_of(attacked, config, named)


def _wrong_transfer(config: dict[str, Any], named: list[Named]) -> Iterator[str]:
    section = config["transfer"]
    if not section["enabled"]:
        return
    yield from _error_of(transfer_lists, config, named)
    for kinds in section["kinds"]:
        for key in ("train", "test"):
            for error in _error_of(names_of, kinds[key]):
                yield f"transfer.kinds: {kinds['name']}: {key}: {error}"
    several = section["models"] and len(config["models"]) > 1
    if not section["kinds"] and not several:
        yield (
            "transfer.enabled: there is nothing to test on; name `kinds`, or study several models "
            "with `models: true`"
        )
    if not named:
        yield "transfer.enabled: the study trains no classifiers; name `taxonomies`"
    if "engram" not in config["protocols"]:
        yield "transfer.enabled: epochs are chosen on validation; add `engram` to `protocols`"


def _unknown_classes(config: dict[str, Any], named: list[Named]) -> Iterator[str]:
    known = {name for entry in named for name in entry.trained.class_names}
    for shown in config["saliency"]["shown_layers"]:
        if shown["name"] not in known:
            yield (
                f"saliency.shown_layers: `{shown['name']}` is not a class of the study's "
                f"taxonomies; name one of {', '.join(sorted(known))}"
            )


def _missing_duplicates(config: dict[str, Any], trained: dict[str, Taxonomy]) -> Iterator[str]:
    counting = [
        name for name, taxonomy in trained.items() if "sequence_duplicates" in taxonomy.columns()
    ]
    for model in config["models"] if counting else ():
        try:
            known = brings_duplicates(complete_entry(model))
        except EngramError:
            continue  # reported for itself
        if not known:
            yield (
                f"models: {model['name']}: `columns` names no sequence_duplicates, which taxonomy "
                f"`{counting[0]}` reads; name the table's column, or leave the taxonomy out"
            )


def _wrong_flow(config: dict[str, Any]) -> Iterator[str]:
    if len(config["flow"]) == 1:
        yield (
            f"flow: only `{config['flow'][0]}` is given; name two taxonomies, the old and the new, "
            f"or none"
        )
    for name in config["flow"]:
        yield from _error_of(parse_taxonomy, name, config)


def _wrong_search(config: dict[str, Any]) -> Iterator[str]:
    terms = config["search"]["categories"]
    for term in terms:
        if "," in term or "-or-" in term or term in (NON_MEMO, OTHERS):
            yield (
                f"search.categories: `{term}` is not a single category; name one such as Guess or "
                f"Recite[5]"
            )
        else:
            yield from _error_of(parse_taxonomy, f"{NON_MEMO}, {term}, {OTHERS}", config)
    if len(terms) == 1:
        yield (
            f"search.categories: `{terms[0]}` alone can be neither merged nor ordered; name two or "
            f"more"
        )
    if terms and "engram" not in config["protocols"]:
        yield "search.categories: the search chooses on validation; add `engram` to `protocols`"
