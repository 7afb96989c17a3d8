"""Run there, finish here: a study without its attention, in one file.

`snakemake bundle` writes `results/<study>.bundle.tar`: the study's folder without what is large and
read by the cluster's stages alone, the config, and Snakemake's own notes on how each file was made.
Unpacked in another checkout, it is a finished study; `engram.run.finish` says what can be made
there.
"""

from __future__ import annotations

import io
import json
import tarfile
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from engram.io.artifacts import whole
from engram.io.errors import EngramError

NOTE = "bundle.json"
"""In the study's folder once it was unpacked: what was left out."""
CONFIG = "study.yaml"
"""Likewise: the config of the study."""
NOTES_OF_SNAKEMAKE = Path(".snakemake/metadata")
LEFT_OUT = (
    "*/attention/shard-*.h5",
    "*/hidden_states.h5",
    "*/feed_forward.h5",
    "*/model/*.safetensors",
    "*/model/*.bin",
    "*/twin/*.safetensors",
    "*/twin/*.bin",
    "*/counterpart/*.safetensors",
    "*/counterpart/*.bin",
    "*/base/*.safetensors",
    "*/base/*.bin",
    "report.html",
)
"""Attention, states of layers and weights, which only the cluster's stages read; the report holds
what is there already.
"""

OF_THE_MODEL = frozenset(
    {
        "fetch_model",
        "fetch_dataset",
        "read_scored",
        "read_windows",
        "drill_nursery",
        "score_candidates",
        "score_windows",
        "measure_prior",
        "measure_predictability",
        "score_twin",
        "score_counterpart",
        "continue_prefixes",
        "extract_attention",
        "permute_weights",
        "extract_random_attention",
        "extract_hidden_states",
        "export_attention",
        "knock_out",
        "measure_entropy",
        "measure_feed_forward",
        "measure_mechanisms",
        "measure_remind",
        "steer",
        "attack_prefixes",
        "drill_crossed",
        "extract_crossed_attention",
        "extract_crossed_hidden_states",
        "extract_crossed_feed_forward",
        "knock_out_pair",
        "measure_crossed_mechanisms",
        "fetch_base",
        "read_base_windows",
        "score_base",
        "design_drilled",
        "draw_replay",
        "drill_model",
        "score_drilled",
        "continue_regions",
        "reconstruct_books",
        "ask_attributes",
        "audit_redacted",
        "calibrate_cnns",
        "classify_windows",
        "ask_pairs",
    }
)
"""Rules that read the language model, or data as large."""
OF_THE_ATTENTION = frozenset(
    {
        "index_attention",
        "index_random_attention",
        "train_cnns",
        "transfer_cnns",
        "search_taxonomies",
        "compute_saliency",
        "check_saliency",
        "plot_attention_examples",
        "build_explorer",
        "build_pair_explorer",
        "index_crossed_attention",
        "score_pair",
        "train_pair_cnns",
        "localize_pair",
    }
)
"""Rules that read the attention store."""
CLUSTER = OF_THE_MODEL | OF_THE_ATTENTION
"""Rules that do not run where a bundle was unpacked."""


def write_bundle(results: Path, config: Mapping[str, Any], bundle: Path) -> dict[str, int]:
    """Pack a finished study.

    Args:
        results: `results/<study>`, relative to the folder that Snakemake runs in.
        config: the study's config, as it was given.
        bundle: the tar file.

    Returns:
        files and bytes that were packed, `files` and `bytes`, and that were left out,
        `files_left_out` and `bytes_left_out`.

    Raises:
        EngramError: Snakemake's notes are not there, or the file cannot be written.
    """
    notes = dict(_snakemake_notes(results))
    if not notes:
        raise EngramError(
            f"{NOTES_OF_SNAKEMAKE}: no notes of {results}; bundle the study in the folder that it "
            f"was run in"
        )
    found = sorted(
        path for path in results.rglob("*") if path.is_file() and not path.name.endswith(".partial")
    )
    left_out = [
        path
        for path in found
        if any(path.relative_to(results).match(pattern) for pattern in LEFT_OUT)
    ]
    packed = sorted({*found} - {*left_out, results / NOTE, results / CONFIG})
    sizes = {
        "files": len(packed),
        "bytes": sum(path.stat().st_size for path in packed),
        "files_left_out": len(left_out),
        "bytes_left_out": sum(path.stat().st_size for path in left_out),
    }
    try:
        with whole(bundle) as temporary, tarfile.open(temporary, "w", dereference=True) as tar:
            for path in tqdm([*packed, *notes.values()], desc="bundle", unit="file"):
                tar.add(path, recursive=False)
            _add_text(
                tar,
                results / CONFIG,
                yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True),
            )
            _add_text(
                tar,
                results / NOTE,
                json.dumps(
                    sizes | {"left_out": [str(path.relative_to(results)) for path in left_out]},
                    indent=1,
                ),
            )
    except OSError as error:
        raise EngramError(
            f"{bundle}: cannot be written ({error.strerror or error}); make room and run again"
        ) from error
    return sizes


def refuse_cluster_rules(planned: Iterable[str], results: Path) -> None:
    """End a run before its first job where it would start rules of the cluster on a study that came
    in a bundle.

    Raises:
        EngramError: rules read what the bundle left out.
    """
    if (results / NOTE).is_file() and (rules := sorted(CLUSTER.intersection(planned))):
        raise EngramError(
            f"nothing was run: {', '.join(rules)} would read the model or the attention store, "
            f"which {results} was bundled without; run them on the cluster and bundle again, or "
            f"make here what can be made: python -m engram bundle {results} --finish. To run all "
            f"of the study here, delete {results / NOTE}"
        )


def _snakemake_notes(results: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a study and where Snakemake notes how they were made: paths in base64,
    long ones in folders whose names begin with @.
    """
    for path in sorted(path for path in NOTES_OF_SNAKEMAKE.rglob("*") if path.is_file()):
        encoded = "".join(
            part.removeprefix("@") for part in path.relative_to(NOTES_OF_SNAKEMAKE).parts
        )
        name = urlsafe_b64decode(encoded).decode(errors="replace")
        if name.startswith(f"{results}/"):
            yield name, path


def _add_text(tar: tarfile.TarFile, path: Path, text: str) -> None:
    content = text.encode()
    member = tarfile.TarInfo(str(path))
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
