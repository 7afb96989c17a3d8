"""Make a study of what the paper's code left: its sample list, its attention, its CNNs.

`output/patterns/<id>` of its checkout holds one configuration (`config.json`,
`train_eval_test.parquet` and, where it was not deleted, `attention_patterns.h5py`), `output/detect`
the CNNs of all of them. The study is what a run of the protocol `reference` would leave, as far as
the files go, so that `engram.open` reads it.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.cnn.checkpoints import load_cnns, save_cnns
from engram.cnn.paper_code import PaperCnn, find_cnns, predictions_of, read_cnn
from engram.io.artifacts import write_csv, write_json, write_parquet
from engram.io.errors import EngramError, boundary
from engram.io.hashing import uniform
from engram.run.config import complete
from engram.run.job import gather
from engram.run.provenance import describe_run
from engram.saliency.delta import choose_held_out, saliency_of_grid
from engram.saliency.file import write_saliency
from engram.scores.score_table import score_table
from engram.sources.paper_code import PREFIX, SUFFIX, read_samples
from engram.store.index import AttentionStore, read_verification, write_index
from engram.store.paper_code import import_attention
from engram.taxonomy.paper_code import taxonomy_of
from engram.taxonomy.taxonomy import NON_MEMO, Taxonomy
from engram.windows.labelling import write_labels

PROTOCOL = "reference"
METHODS = ("guided", "gradient")
"""Of Δ: as the paper describes it, and as its code computed it."""
DELTA_SAMPLES = 200
"""Samples per class that Δ is averaged over, the paper's number."""


@dataclass(frozen=True)
class Configuration:
    """One configuration of the paper's code."""

    folder: Path
    """`output/patterns/<id>`."""
    model: str
    """Name of the model, e.g. pythia-12b-deduped-v0."""
    taxonomy: Taxonomy

    @classmethod
    def read(cls, folder: Path) -> Configuration:
        """Read `config.json`.

        Raises:
            EngramError: it is missing, or not that of a configuration.
        """
        path = folder / "config.json"
        advice = "give a folder output/patterns/<id> of the paper's code"
        with boundary(f"{path}: it does not describe a configuration", advice):
            values = json.loads(path.read_text(encoding="utf-8"))
            corpus = "-deduped" if values["deduped"] else ""
            model = f"pythia-{values['size']}{corpus}-v0"
            taxonomy = taxonomy_of(
                str(values["tax_name"]),
                float(values["rouge_threshold"]),
                float(values["duplicates_threshold"]),
            )
        return cls(folder, model, taxonomy)

    @property
    def table(self) -> Path:
        """The sample list."""
        return self.folder / "train_eval_test.parquet"

    @property
    def attention(self) -> Path:
        """The attention of the samples; it may not be there."""
        return self.folder / "attention_patterns.h5py"


def import_paper(patterns: Path, detect: Path | None, output: Path) -> list[str]:
    """Make a study of one configuration.

    Args:
        patterns: `output/patterns/<id>` of the paper's code.
        detect: its `output/detect`, with the CNNs of all configurations; None is the folder next
            to the one that holds `patterns`, where there is one.
        output: the study's folder, `results/<study>`; it must not exist.

    Returns:
        what was imported, and what was not, in lines for the user.

    Raises:
        EngramError: a file that is needed is missing, damaged, or of another configuration.
    """
    if output.exists():
        raise EngramError(f"{output}: it exists; name a folder that does not, results/published")
    if detect and not detect.is_dir():
        raise EngramError(f"{detect}: no such folder; give output/detect of the paper's code")
    configuration = Configuration.read(patterns)
    samples = _samples(configuration)
    neighbour = patterns.resolve().parent.parent / "detect"
    detect = detect or (neighbour if neighbour.is_dir() else None)
    classes = len(configuration.taxonomy.classes)
    cnns = [
        read_cnn(folder, classes, PREFIX + SUFFIX)
        for folder in (find_cnns(detect, patterns.resolve().name) if detect else [])
    ]
    _refuse_twins(cnns)
    config = _config(configuration, samples, cnns, output.name)
    lines = [_listed(samples, configuration.taxonomy)]
    with _whole_folder(output) as study:
        model = study / configuration.model
        samples = _write_texts(configuration, samples, model)
        store = None
        if configuration.attention.is_file():
            lines.append(_write_attention(configuration, samples, model))
            store = AttentionStore(model / "attention" / "index.parquet")
        else:
            lines.append(f"no attention: {configuration.attention} is not there")
        if cnns:
            lines.append(_write_cnns(configuration, samples, cnns, study, config))
            lines.append(_write_delta(configuration, samples, store, model, cnns))
        else:
            lines.append(f"no CNNs: none in {detect or neighbour} was trained on {patterns.name}")
        run = describe_run(config, {}, {})
        write_json(run | {"imported": str(patterns.resolve())}, study / "run.json")
    return [*lines, f'read it with engram.open("{output}")']


def command(patterns: Path, detect: Path | None, output: Path) -> None:
    """Make a study, and print what it holds."""
    for line in import_paper(patterns, detect, output):
        print(line)


@contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """Yield a folder to write to, which becomes `output` on success and is removed on any error."""
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex[:12]}.partial")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.replace(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _samples(configuration: Configuration) -> pd.DataFrame:
    """Return the samples with their class, sorted by class."""
    samples = read_samples(configuration.table)
    names = configuration.taxonomy.class_names
    if samples["code"].max() + 1 != len(names):
        raise EngramError(
            f"{configuration.table}: it has {samples['code'].max() + 1} classes, the taxonomy of "
            f"{configuration.folder / 'config.json'} has {len(names)} ({', '.join(names)})"
        )
    samples["class"] = np.array(names, dtype=object)[samples["code"]]
    return samples.sort_values(["code", "sequence_id"], ignore_index=True)


def _listed(samples: pd.DataFrame, taxonomy: Taxonomy) -> str:
    counts = samples.groupby("class", sort=False)["trains"].agg(["sum", "size"])
    listed = ", ".join(
        f"{name} {row['sum']:,} + {row['size'] - row['sum']:,}" for name, row in counts.iterrows()
    )
    return f"{len(samples):,} samples of `{taxonomy.name}`, train + test: {listed}"


def _refuse_twins(cnns: Sequence[PaperCnn]) -> None:
    keys = [cnn.key.path for cnn in cnns]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise EngramError(
            f"CNNs: {keys.count(twice[0])} are {twice[0]}, they differ in other settings; leave "
            f"one of them in the folder"
        )


def _config(
    configuration: Configuration, samples: pd.DataFrame, cnns: Sequence[PaperCnn], study: str
) -> dict[str, Any]:
    """Return the completed config of a study that would train on these samples."""
    grid: dict[str, Any] = {
        "kernels": sorted({cnn.architecture.kernel for cnn in cnns}),
        "features": sorted({cnn.architecture.features for cnn in cnns}),
    }
    for name in ("hidden", "pooling_kernel"):
        values = {getattr(cnn.architecture, name) for cnn in cnns}
        grid[name] = values.pop() if len(values) == 1 else None
    entry = {
        "name": configuration.model,
        "source": "table",
        "model": f"EleutherAI/{configuration.model}",
        "revision": "main",
        "table": str(configuration.table.resolve()),
        "preset": "train_eval_test",
    }
    return complete(
        {
            "study": study,
            "prefix": PREFIX,
            "suffix": SUFFIX,
            "models": [entry],
            "taxonomies": [configuration.taxonomy.name],
            "protocols": [PROTOCOL],
            "samples": {"per_class": int(samples["code"].value_counts().max()), "minimum": 10},
            "attention": {"end_of_text": "forbidden", "generation_mask": "reference"},
            "cnn": {name: values for name, values in grid.items() if values},
            "saliency": {"methods": list(METHODS), "samples_per_class": DELTA_SAMPLES},
        }
    )


def _write_texts(configuration: Configuration, samples: pd.DataFrame, model: Path) -> pd.DataFrame:
    """Write candidates, labels, continuations and the sample list; return the samples with their
    content group.
    """
    metadata = {"source": "table", "model": f"EleutherAI/{configuration.model}", "prefix": PREFIX}
    write_parquet(samples.drop(columns=["code", "class"]), model / "candidates.parquet", metadata)
    write_labels(model / "candidates.parquet", model / "labels.parquet", PREFIX)
    own = samples[samples["class"].str.split("-or-").map(lambda names: NON_MEMO in names)]
    write_parquet(own[["sequence_id", "tokens", "text"]], model / "continuations.parquet", metadata)
    labels = pd.read_parquet(model / "labels.parquet", columns=["sequence_id", "content_group"])
    samples = samples.merge(labels, on="sequence_id", validate="one_to_one")
    samples["split"] = np.where(samples["trains"], "train", "test")
    samples["priority"] = uniform(samples["sequence_id"].to_numpy(), 1, "priority")
    taxonomy = configuration.taxonomy
    described = {
        "protocol": PROTOCOL,
        "taxonomy": taxonomy.name,
        "slug": taxonomy.slug,
        "classes": taxonomy.class_names,
        "columns": sorted(taxonomy.columns()),
        "candidates": samples["class"].value_counts().to_dict(),
    }
    write_parquet(
        samples[["sequence_id", "class", "split", "priority"]],
        model / PROTOCOL / "samples" / f"{taxonomy.slug}.parquet",
        metadata | described,
    )
    return samples


def _write_attention(configuration: Configuration, samples: pd.DataFrame, model: Path) -> str:
    """Write the attention store, and return what it holds."""
    folder = model / "attention"
    shard = folder / "shard-0.h5"
    imported = import_attention(
        configuration.attention,
        samples["sequence_id"].to_numpy(),
        np.stack(samples["tokens"].tolist()),
        PREFIX,
        shard,
        configuration.model,
    )
    write_index([shard], folder / "index.parquet")
    write_parquet(read_verification([shard]), folder / "verification.parquet")
    line = f"attention of {len(imported.sequence_ids):,} of {len(samples):,} samples"
    if imported.others:
        line += f"; left out of the file, because they are no samples: {imported.others:,}"
    return line


def _write_cnns(
    configuration: Configuration,
    samples: pd.DataFrame,
    cnns: Sequence[PaperCnn],
    study: Path,
    config: dict[str, Any],
) -> str:
    """Write checkpoints, predictions and scores, and return what they say."""
    taxonomy = configuration.taxonomy
    folder = study / configuration.model / PROTOCOL / "cnns" / taxonomy.slug
    if len(layers := {cnn.layers for cnn in cnns}) > 1:
        raise EngramError(f"CNNs: they are of models with {sorted(layers)} layers")
    save_cnns(
        folder / "checkpoints.safetensors",
        {cnn.key: cnn.parameters for cnn in cnns},
        [cnn.architecture for cnn in cnns],
        taxonomy.class_names,
        cnns[0].layers,
        PREFIX + SUFFIX,
    )
    predictions = predictions_of(cnns, samples.set_index("sequence_id"))
    metadata = {
        "classes": taxonomy.class_names,
        "taxonomy": taxonomy.name,
        "selection": "all_epochs",
        "diverged": [],
    }
    write_parquet(predictions, folder / "predictions.parquet", metadata)
    scores = score_table(
        predictions, taxonomy.class_names, seed=config["seed"], **config["statistics"]
    )
    run = {"model": configuration.model, "protocol": PROTOCOL, "taxonomy": taxonomy.name}
    write_csv(gather([run | {"slug": taxonomy.slug}], [scores]), study / "tables" / "scores.csv")
    row, epochs = scores.iloc[0], predictions["epoch"].max()
    return (
        f"CNNs: {len(cnns)}, of {epochs} epochs; minimum F1 {row['min_f1']:.3f} "
        f"[{row['min_f1_low']:.3f}, {row['min_f1_high']:.3f}]"
    )


def _write_delta(
    configuration: Configuration,
    samples: pd.DataFrame,
    store: AttentionStore | None,
    model: Path,
    cnns: Sequence[PaperCnn],
) -> str:
    """Write Δ of held-out samples whose attention there is, and return what it rests on."""
    if store is None:
        return "no Δ: it needs attention"
    if store.header.layers != cnns[0].layers:
        raise EngramError(
            f"{configuration.attention}: attention of {store.header.layers} layers, the CNNs read "
            f"{cnns[0].layers}; the files belong to different models"
        )
    taxonomy = configuration.taxonomy
    present = samples[samples["sequence_id"].isin(store.sequence_ids)]
    held_out = present.iloc[
        choose_held_out(
            present["split"].to_numpy(),
            present["code"].to_numpy(),
            present["priority"].to_numpy(),
            DELTA_SAMPLES,
        )
    ]
    counts = np.bincount(held_out["code"], minlength=len(taxonomy.classes))
    if counts.min() == 0:
        name = taxonomy.class_names[int(counts.argmin())]
        return f"no Δ: class {name} has no test sample with attention"
    loaded = load_cnns(model / PROTOCOL / "cnns" / taxonomy.slug / "checkpoints.safetensors")
    ids = held_out["sequence_id"].to_numpy()
    saliency = saliency_of_grid(
        {f"{key.cnn}/{key.seed}": cnn for key, cnn in loaded.items()},
        store.read(ids, "mean"),
        store.read(ids, "max"),
        held_out["code"].to_numpy(),
        taxonomy.class_names,
        METHODS,
        PREFIX,
    )
    path = model / PROTOCOL / "saliency" / f"{taxonomy.slug}.h5"
    write_saliency(path, saliency, taxonomy.name)
    return f"Δ ({', '.join(METHODS)}) over {', '.join(map(str, counts))} test samples per class"
