"""Changes to a finished tiny study; each has a row in recompute.json, the plan that must follow."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml
from checkout import TINY
from planner import Edits

MODEL = TINY["models"][0]
TAXONOMIES = TINY["taxonomies"]
LOW = {"name": "Low", "where": "rouge_l < 0.3"}


def _config(**changes: object) -> dict[str, Any]:
    return copy.deepcopy(TINY) | changes


def _in(section: str, **changes: object) -> dict[str, Any]:
    return _config(**{section: copy.deepcopy(TINY.get(section, {})) | changes})


def _model(**changes: object) -> dict[str, Any]:
    return _config(models=[copy.deepcopy(MODEL) | changes])


CONFIGS: dict[str, dict[str, Any]] = {
    "study: a new name": _config(study="other"),
    "seed": _config(seed=2),
    "prefix and suffix": _config(prefix=30, suffix=34),
    "models[].windows": _model(windows=800),
    "models[].seed": _model(seed=7),
    "models[].shards": _model(shards=3),
    "models[].dtype": _model(dtype="bfloat16"),
    "models[].drilling": _model(drilling=copy.deepcopy(MODEL["drilling"]) | {"replay_share": 0.3}),
    "models[]: a second one": _config(
        models=[copy.deepcopy(MODEL), copy.deepcopy(MODEL) | {"name": "second", "seed": 7}]
    ),
    "code_classifier": _config(
        code_classifier={
            "model": "kenhktsui/code-natural-language-fasttext-classifier",
            "revision": "main",
        }
    ),
    "categories: one that nothing names": _config(categories=[LOW]),
    "taxonomies: a new one": _config(taxonomies=[*TAXONOMIES, "Non-Memo, Code, Others"]),
    "taxonomies: a new one, of a category of one's own": _config(
        categories=[LOW], taxonomies=[*TAXONOMIES, "Non-Memo, Low, Others"]
    ),
    "taxonomies: one removed": _config(
        taxonomies=TAXONOMIES[1:], flow=[], knockout=TINY["knockout"] | {"taxonomies": []}
    ),
    "taxonomies: another order": _config(taxonomies=TAXONOMIES[::-1]),
    "taxonomies: a new one, and the epochs of all": _config(
        taxonomies=[*TAXONOMIES, "Non-Memo, Code, Others"], cnn=TINY["cnn"] | {"epochs": 3}
    ),
    "taxonomies: a new one, and the figures' font": _config(
        taxonomies=[*TAXONOMIES, "Non-Memo, Code, Others"], figures={"font_size": 11}
    ),
    "deltas": _config(deltas=[7]),
    "rho": _config(rho={"rouge_l": [0.3]}),
    "search": _in("search", categories=["Guess", "Code"]),
    "protocols": _config(protocols=["engram", "paper"]),
    "samples.per_class": _in("samples", per_class=25),
    "samples.minimum": _in("samples", minimum=12),
    "samples.train": _in("samples", train=0.5),
    "samples.shown": _in("samples", shown="true"),
    "samples.match": _in("samples", match={"columns": ["rouge_l"], "bins": 2}),
    "samples.split_by": _in("samples", split_by="document"),
    "samples.held_out": _in(
        "samples",
        held_out=[{"name": "apart", "column": "is_code", "train": [True], "test": [False]}],
    ),
    "prior.prefixes": _in("prior", prefixes=8),
    "matched.pairs": _in(
        "matched", pairs=[{"taxonomy": TAXONOMIES[0], "first": "Guess", "second": "Others"}]
    ),
    "transfer.kinds": _in(
        "transfer",
        enabled=True,
        taxonomies=TAXONOMIES[:1],
        kinds=[{"name": "code", "train": "is_code", "test": "not is_code"}],
    ),
    "attention.mean_dtype": _in("attention", mean_dtype="float16"),
    "attention.block": _in("attention", block=2),
    "attention.examples": _in("attention", examples=[1]),
    "attention.end_of_text": _in("attention", end_of_text="forbidden"),
    "attention.generation_mask": _in("attention", generation_mask="reference"),
    "attention.kernel": _in("attention", kernel="triton"),
    "attention.batch_tokens": _in("attention", batch_tokens=2048),
    "plan": _in("plan", forward=1.5),
    "cnn.epochs": _in("cnn", epochs=3),
    "cnn.pooling_kernel": _in("cnn", pooling_kernel=1),
    "cnn.memory_mb": _in("cnn", memory_mb=500),
    "cnn.baselines: hidden_states left out": _in(
        "cnn", baselines=["token_identity", "random_weights", "scalar_features"]
    ),
    "saliency.methods": _in("saliency", methods=["guided"]),
    "saliency.samples_per_class": _in("saliency", samples_per_class=4),
    "saliency.checks": _in("saliency", checks=False),
    "saliency.check_samples": _in("saliency", check_samples=4),
    "saliency.localize": _in("saliency", localize=["Non-Memo, Guess, Others"]),
    "saliency.shown_layers": _in("saliency", shown_layers=[{"name": "Guess", "layer": 2}]),
    "knockout.enabled": _in("knockout", enabled=False),
    "knockout.taxonomies": _in("knockout", taxonomies=TAXONOMIES),
    "knockout.draws": _in("knockout", draws=3),
    "statistics.resamples": _in("statistics", resamples=120),
    "statistics.confidence": _in("statistics", confidence=0.9),
    "mechanisms.enabled": _in("mechanisms", enabled=True),
    "mechanisms.entropy": _in("mechanisms", entropy={"enabled": True}),
    "mechanisms.entropy.course": _in("mechanisms", entropy={"enabled": True, "course": True}),
    "mechanisms.remind": _in("mechanisms", remind={"enabled": True}),
    "mechanisms.feed_forward": _in("mechanisms", feed_forward={"enabled": True}),
    "mechanisms.steering": _in("mechanisms", steering={"enabled": True, "recalled": "Non-Memo"}),
    "mechanisms.locality": _in("mechanisms", locality={"enabled": True}),
    "audit: no model has documents": _in("audit", megabytes=5),
    "explorer": _in("explorer", samples=30),
    "figures.font_size": _config(figures={"font_size": 11}),
    "figures.formats": _config(figures={"formats": ["svg"]}),
    "flow": _config(flow=[]),
    "crossed: no model has a counterpart": _in("crossed", redraws=200),
    "series: no model has a family": _in("series", half_low=0.3),
    "tracking": _config(tracking="tensorboard"),
    "nursery_base": _in("nursery_base", text={"tokens": 50_000_000}),
}
"""Every key group of the config, by what is changed in it."""


def config_edits(config: dict[str, Any]) -> Edits:
    """Writes a config."""
    return [("config.yaml", yaml.safe_dump(config, sort_keys=False))]


def code_edit(folder: Path, file: str) -> Edits:
    """A change of code that is no comment."""
    return [(file, (folder / file).read_text() + "\n\nCHANGED = True\n")]


def _appended(folder: Path, file: str, text: str) -> Edits:
    return [(file, (folder / file).read_text() + text)]


def rule_scripts(folder: Path) -> set[str]:
    """Scripts that a rule runs, without `.py`."""
    found = {
        re.search(r"workflow/scripts/(\w+)\.py", line)
        for file in (folder / "rules").glob("*.smk")
        for line in file.read_text().splitlines()
    }
    return {match[1] for match in found if match}


def rules_of(script: str, folder: Path) -> set[str]:
    """Return the rules that run a script, those included that inherit it by `use rule`."""
    head = re.compile(r"^(?:use rule (\w+) as|rule) (\w+)", re.MULTILINE)
    owned: set[str] = set()
    for file in sorted((folder / "rules").glob("*.smk")):
        _, *parts = head.split(file.read_text())
        for parent, name, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            own = re.search(r"workflow/scripts/(\w+)\.py", body)
            if own[1] == script if own else parent in owned:
                owned.add(name)
    return owned


def changes(folder: Path) -> dict[str, Edits]:
    """Every change by its name in the table; names of changed code are file names."""
    found = {name: config_edits(config) for name, config in CONFIGS.items()}
    scripts = sorted(path.stem for path in (folder / "workflow/scripts").glob("*.py"))
    found |= {
        f"scripts/{script}.py": code_edit(folder, f"workflow/scripts/{script}.py")
        for script in scripts
    }
    code = [
        file.relative_to(folder).as_posix() for file in sorted((folder / "workflow").rglob("*.py"))
    ]
    files = [
        file.relative_to(folder).as_posix()
        for part in ("workflow", "rules", "resources")
        for file in (folder / part).rglob("*")
    ]
    found["a comment in every file of code"] = [
        edit for file in code for edit in _appended(folder, file, "\n# A remark.\n")
    ]
    found["every file of the checkout touched"] = [
        (file, None) for file in [*files, "Snakefile", "config.yaml"] if (folder / file).is_file()
    ]
    captions = sorted((folder / "workflow/report").glob("*.rst"))
    found["captions of the report"] = [
        edit
        for file in captions
        for edit in _appended(folder, file.relative_to(folder).as_posix(), "\nMore.\n")
    ]
    found["the explorer's page"] = _appended(
        folder, "workflow/explorer/explorer.css", "\nh1 { color: red; }\n"
    )
    found["what all pages share"] = _appended(
        folder, "workflow/pages/shell.css", "\nh1 { color: red; }\n"
    )
    return found
