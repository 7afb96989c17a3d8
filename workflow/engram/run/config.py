"""Reads the config: checked against its schema and for sense, completed with defaults, before
anything runs.
"""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from engram.io.errors import EngramError
from engram.io.shipped import ROOT
from engram.sources.entry import brings_duplicates, complete_entry, refuse_unused
from engram.taxonomy.catalogue import PAPER, paper_names, rho_names
from engram.taxonomy.partitions import Named, merge_equal
from engram.taxonomy.taxonomy import NON_MEMO, OTHERS, Taxonomy, categories_from_config

SCHEMA_FILE = ROOT / "workflow" / "schemas" / "config.schema.yaml"
MAX_DEPTH = 12
RESERVED = frozenset(
    {"tables", "figures", "logs", "benchmarks", "run.json", "report.html", "explorer.html"}
)
"""What stands beside the models' folders under results/<study>/."""
_NUMBERS: dict[str, type[int] | type[float]] = {"integer": int, "number": float}
_LIMITS = {
    "minimum": "is less than",
    "maximum": "is more than",
    "exclusiveMinimum": "is not more than",
    "exclusiveMaximum": "is not less than",
    "minLength": "is shorter than",
    "maxLength": "is longer than",
    "minItems": "has fewer items than",
    "maxItems": "has more items than",
}
"""What a value does that breaks a rule of the schema; the rule's number follows."""


def load_schema() -> dict[str, Any]:
    """The JSON schema of the config; every key has a description and a default unless it is
    required.
    """
    # libyaml, where PyYAML was built with it, reads ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(SCHEMA_FILE.read_text(encoding="utf-8"), Loader=loader)


def complete(config: Any) -> dict[str, Any]:
    """Checks a config and returns it with every default filled in.

    Raises:
        EngramError: one line per mistake: the key, the value found, what is wanted.
    """
    if mistake := _unusable(config, "config", 0):
        raise EngramError(_one_line(mistake))
    schema = load_schema()
    if isinstance(config, dict) and config.get("taxonomies") == PAPER:
        config = config | {"taxonomies": [PAPER]}
    errors = sorted(
        Draft202012Validator(schema).iter_errors(config),
        key=lambda error: [str(part) for part in error.absolute_path],
    )
    if errors:
        raise EngramError("\n".join(dict.fromkeys(_one_line(_describe(error)) for error in errors)))
    completed = _with_defaults(copy.deepcopy(config), schema, schema)
    _check_sense(completed)
    completed["models"] = [complete_entry(model) for model in completed["models"]]
    for model in completed["models"]:
        model["seed"] = completed["seed"] if model["seed"] is None else model["seed"]
    return completed


def named_taxonomies(config: dict[str, Any]) -> list[Named]:
    """Every taxonomy of the config by each of its names, in order, with the one of the same
    partition that is trained for it.

    `paper` in the list stands for the paper's benchmark at `deltas`; the thresholds of `rho` follow
    the list.
    """
    categories = categories_from_config(config["categories"])
    written: dict[str, str] = {}
    parsed: dict[str, Taxonomy] = {}
    for name in config["taxonomies"]:
        for one in paper_names(config["deltas"]) if name == PAPER else [name]:
            taxonomy = Taxonomy.parse(one, categories)
            parsed.setdefault(taxonomy.slug, taxonomy)
        if name != PAPER:
            if taxonomy.slug in written:
                both = f"`{name}` and `{written[taxonomy.slug]}`"
                raise EngramError(
                    f"taxonomies: {both} are one taxonomy or have one folder name, "
                    f"{taxonomy.slug}; keep one of them"
                )
            written[taxonomy.slug] = taxonomy.name
    for name in rho_names(config["rho"]):
        taxonomy = Taxonomy.parse(name, categories)
        parsed.setdefault(taxonomy.slug, taxonomy)
    return merge_equal(parsed.values())


def taxonomies(config: dict[str, Any]) -> dict[str, Taxonomy]:
    """Return the taxonomies to train by slug, one per partition, in the config's order."""
    return {named.trained.slug: named.trained for named in named_taxonomies(config)}


def used_categories(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The config's own categories that a taxonomy, the flow diagram or the search names; the others
    change no result.
    """
    categories = categories_from_config(config["categories"])
    searched = [f"{NON_MEMO}, {term}, {OTHERS}" for term in config["search"]["categories"]]
    named = [Taxonomy.parse(name, categories) for name in (*config["flow"], *searched)]
    named += [entry.taxonomy for entry in named_taxonomies(config)]
    names = {
        term.category.name for taxonomy in named for terms in taxonomy.classes for term in terms
    }
    return [category for category in config["categories"] if category["name"] in names]


def localized(config: dict[str, Any]) -> list[str]:
    """Slugs of the taxonomies that saliency is computed for."""
    named = {entry.taxonomy.slug: entry.trained.slug for entry in named_taxonomies(config)}
    if not config["saliency"]["localize"]:
        return list(dict.fromkeys(named.values()))
    categories = categories_from_config(config["categories"])
    slugs = [Taxonomy.parse(name, categories).slug for name in config["saliency"]["localize"]]
    if unknown := [
        n
        for n, slug in zip(config["saliency"]["localize"], slugs, strict=True)
        if slug not in named
    ]:
        raise EngramError(
            f"saliency.localize: `{unknown[0]}` is not among the study's taxonomies; add it to "
            f"`taxonomies`"
        )
    return list(dict.fromkeys(named[slug] for slug in slugs))


def knocked_out(config: dict[str, Any]) -> list[str]:
    """Return the slugs of the taxonomies to knock out; none unless knock-outs are enabled."""
    section, among = config["knockout"], localized(config)
    if not section["enabled"]:
        return []
    named = {entry.taxonomy.slug: entry.trained.slug for entry in named_taxonomies(config)}
    categories = categories_from_config(config["categories"])
    slugs = [named.get(Taxonomy.parse(name, categories).slug) for name in section["taxonomies"]]
    if unknown := [
        name for name, slug in zip(section["taxonomies"], slugs, strict=True) if slug not in among
    ]:
        raise EngramError(
            f"knockout.taxonomies: `{unknown[0]}` is not among the localized taxonomies; add it to "
            f"`saliency.localize`"
        )
    return [slug for slug in among if slug in slugs or not slugs]


def _check_sense(config: dict[str, Any]) -> None:
    """What a schema cannot say; raises EngramError with one line per mistake."""
    mistakes: list[str] = []
    for check in (
        _check_names,
        _check_keys,
        _check_sources,
        _check_code_classifier,
        _check_samples,
        _check_window,
        _check_base,
        taxonomies,
        _check_duplicates,
        localized,
        knocked_out,
        _check_bands,
        _check_flow,
        _check_search,
        _check_figures,
    ):
        try:
            check(config)
        except EngramError as error:
            mistakes.append(_one_line(str(error)))
    if mistakes:
        raise EngramError("\n".join(dict.fromkeys(mistakes)))


def _check_names(config: dict[str, Any]) -> None:
    if config["study"] == "nursery_base":
        raise EngramError(
            "study: results/nursery_base/ is where `snakemake nursery_base` writes; call the study "
            "otherwise"
        )
    names = [model["name"] for model in config["models"]]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise EngramError(f"models: the name {repeated[0]} stands twice; give every model its own")
    if reserved := sorted(RESERVED & set(names)):
        raise EngramError(
            f"models: {reserved[0]} stands beside the models' folders under "
            f"results/{config['study']}/; call the model otherwise"
        )


def _check_keys(config: dict[str, Any]) -> None:
    schema = load_schema()
    # A value that is the default says nothing: a completed config is a config too.
    defaults = _with_defaults({}, schema["$defs"]["model"], schema)
    for model in config["models"]:
        refuse_unused(
            model["name"],
            model["source"],
            [key for key, value in model.items() if value != defaults.get(key)],
        )


def _check_sources(config: dict[str, Any]) -> None:
    for model in config["models"]:
        complete_entry(model)


def _check_code_classifier(config: dict[str, Any]) -> None:
    classifier = config["code_classifier"]
    if classifier["revision"] and not classifier["model"]:
        raise EngramError(
            "code_classifier.model: it is empty, though there is a revision; name the repository"
        )
    if (
        classifier["model"]
        and not classifier["revision"]
        and not Path(classifier["model"]).exists()
    ):
        raise EngramError(
            f"code_classifier.model: {classifier['model']} is neither file nor folder here, so it "
            f"is taken for a repository, "
            "which needs `code_classifier.revision`"
        )


def _check_duplicates(config: dict[str, Any]) -> None:
    counting = [
        taxonomy.name
        for taxonomy in taxonomies(config).values()
        if "sequence_duplicates" in taxonomy.columns()
    ]
    for model in map(complete_entry, config["models"]):
        if counting and not brings_duplicates(model):
            raise EngramError(
                f"models: {model['name']}: `columns` names no sequence_duplicates, which taxonomy "
                f"`{counting[0]}` reads; "
                "name the table's column, or leave the taxonomy out"
            )


def _check_samples(config: dict[str, Any]) -> None:
    samples = config["samples"]
    if samples["train"] + samples["validation"] >= 1:
        both = f"train {samples['train']:g} and validation {samples['validation']:g}"
        raise EngramError(f"samples: {both} leave nothing to test on; make them sum to less than 1")
    if samples["minimum"] > samples["per_class"]:
        raise EngramError(
            f"samples.minimum: {samples['minimum']} is more than samples.per_class, "
            f"{samples['per_class']}; lower it"
        )


def _check_window(config: dict[str, Any]) -> None:
    tokens = config["prefix"] + config["suffix"]
    for kernel in (*config["cnn"]["kernels"], *config["cnn"]["baseline_grid"]["kernels"]):
        if ((tokens - kernel + 1) // 2 - kernel + 1) // 2 < 1:
            raise EngramError(
                f"cnn.kernels: {kernel} is too large for windows of prefix + suffix = {tokens} "
                f"tokens; take a smaller kernel"
            )


def _check_bands(config: dict[str, Any]) -> None:
    if wrong := [band for band in config["knockout"]["bands"] if band[0] > band[1]]:
        raise EngramError(
            f"knockout.bands: {wrong[0]} is no band of distances; give the least and the greatest "
            f"distance"
        )


def _check_base(config: dict[str, Any]) -> None:
    base, tokens = config["nursery_base"], config["prefix"] + config["suffix"]
    if base["width"] % (2 * base["heads"]):
        raise EngramError(
            f"nursery_base.width: {base['width']} is no even multiple of heads, {base['heads']}; "
            f"rotary embeddings need one"
        )
    if base["row_tokens"] < tokens:
        raise EngramError(
            f"nursery_base.row_tokens: {base['row_tokens']} is less than prefix + suffix = "
            f"{tokens}; a window must fit into a row"
        )


def _check_flow(config: dict[str, Any]) -> None:
    if len(config["flow"]) == 1:
        raise EngramError(
            f"flow: `{config['flow'][0]}` stands alone; name two taxonomies, the old and the new, "
            f"or none"
        )
    for name in config["flow"]:
        Taxonomy.parse(name, categories_from_config(config["categories"]))


def _check_search(config: dict[str, Any]) -> None:
    categories, terms = categories_from_config(config["categories"]), config["search"]["categories"]
    for term in terms:
        if "," in term or "-or-" in term or term in (NON_MEMO, OTHERS):
            raise EngramError(
                f"search.categories: `{term}` is no single category; name one such as Guess or "
                f"Recite[5]"
            )
        Taxonomy.parse(f"{NON_MEMO}, {term}, {OTHERS}", categories)
    if len(terms) == 1:
        raise EngramError(
            f"search.categories: `{terms[0]}` stands alone, so there is nothing to merge or order; "
            f"name two or more"
        )
    if terms and "engram" not in config["protocols"]:
        raise EngramError(
            "search.categories: the search chooses on validation; add `engram` to `protocols`"
        )


def _check_figures(config: dict[str, Any]) -> None:
    if config["figures"]["colormap"] != "engram" or config["figures"]["palette"]:
        # Only here: matplotlib takes longer to import than everything else that reads a config.
        from engram.figures.style import FigureStyle

        FigureStyle.from_config(config["figures"])


def _with_defaults(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """`value` with the schema's defaults filled in, recursively; `400.0` becomes an integer where
    the schema wants one.
    """
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]] | {
            k: v for k, v in schema.items() if k != "$ref"
        }
    if isinstance(value, dict):
        for key, subschema in schema.get("properties", {}).items():
            if key not in value and "default" in subschema:
                value[key] = copy.deepcopy(subschema["default"])
            if key in value:
                value[key] = _with_defaults(value[key], subschema, root)
    elif isinstance(value, list) and "items" in schema:
        value = [_with_defaults(item, schema["items"], root) for item in value]
    elif value is not None and (number := _number(schema)):
        value = number(value)
    return value


def _number(schema: dict[str, Any]) -> type[int] | type[float] | None:
    """The type of number that a schema wants, if it wants one; it may allow null beside it."""
    kinds = schema.get("type")
    return next(
        (
            _NUMBERS[kind]
            for kind in (kinds if isinstance(kinds, list) else [kinds])
            if kind in _NUMBERS
        ),
        None,
    )


def _unusable(value: Any, where: str, depth: int) -> str | None:
    """The first thing in `value` that YAML can hold but no config means and no schema catches: what
    and where it is.
    """
    match value:
        case dict() | list() if depth == MAX_DEPTH:
            return f"{where}: nested deeper than {MAX_DEPTH} levels; no key of the config is"
        case dict() if unnamed := [key for key in value if not isinstance(key, str)]:
            return (
                f"{where}: a key of type {type(unnamed[0]).__name__} is no text; put it in quotes"
            )
        case dict():
            parts = [(part, where) for part in value] + [
                (v, (str(k) or "config") if depth == 0 else f"{where}.{k}")
                for k, v in value.items()
            ]
        case list():
            parts = [(item, f"{where}.{i}") for i, item in enumerate(value)]
        case float() if not math.isfinite(value):
            return f"{where}: {value} is not a finite number"
        case int() | float() if abs(value) >= 2**63:
            return f"{where}: a number beyond 2^63 is too large"
        case str() if control := re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", value):
            return (
                f"{where}: the text {value!r:.80} holds the control character {control[0]!r}; "
                f"remove it"
            )
        case _:
            return None
    return next(
        (mistake for part, place in parts if (mistake := _unusable(part, place, depth + 1))), None
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _describe(error: ValidationError) -> str:
    """One line for one mistake: where, what was found, what is wanted."""
    where = ".".join(str(part) for part in error.absolute_path) or "config"
    found = repr(error.instance)
    found = found if len(found) <= 80 else found[:77] + "…"
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            unknown = sorted(str(key) for key in set(error.instance) - set(known))
            return f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(known)}"
        case "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            return f"{where}: {', '.join(missing)} is missing"
        case "pattern":
            return (
                f"{where}: {found} is not a name; use lower-case letters, digits, `-`, `_` and `.` "
                f"(no path)"
            )
        case "type":
            return f"{where}: {found} is not of type {error.validator_value}"
        case "enum":
            return f"{where}: {found} is not one of {', '.join(map(str, error.validator_value))}"
        case "uniqueItems":
            return f"{where}: an item stands twice in {found}"
        case rule:
            return f"{where}: {found} {_LIMITS.get(rule, f'breaks {rule}')} {error.validator_value}"
