"""Run there, finish here: a study without its attention, in one file, and what of it can be made
anew without a cluster.

`snakemake bundle` writes `results/<study>.bundle.tar`: the study's folder but for what is large and
read by the cluster's stages alone, the config, and Snakemake's own notes of how each file was made,
without which everything would run again. Unpacked in another checkout, it is a finished study.

`python -m engram bundle results/<study>` then says what a change of config or code asks for:
what can be made here, which `--finish` does, and what needs the cluster.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from engram.io.artifacts import whole
from engram.io.errors import EngramError
from engram.run import launch

NOTE = "bundle.json"
"""In the study's folder once it was unpacked: what was left out."""
CONFIG = "study.yaml"
"""Likewise: the config of the study."""
NOTES_OF_SNAKEMAKE = Path(".snakemake/metadata")
LEFT_OUT = (
    "*/attention/shard-*.h5",
    "*/hidden_states.h5",
    "*/model/*.safetensors",
    "*/model/*.bin",
    "*/twin/*.safetensors",
    "*/twin/*.bin",
    "report.html",
)
"""Attention, hidden states and weights, which only the cluster's stages read; the report holds what
is there already.
"""

OF_THE_MODEL = frozenset(
    {
        *(
            "fetch_model",
            "fetch_dataset",
            "read_scored",
            "read_windows",
            "drill_nursery",
            "score_candidates",
            "score_windows",
        ),
        *(
            "score_twin",
            "continue_prefixes",
            "extract_attention",
            "permute_weights",
            "extract_random_attention",
        ),
        *("extract_hidden_states", "export_attention", "knock_out"),
    }
)
"""Rules that read the language model, or data as large."""
OF_THE_ATTENTION = frozenset(
    {
        *(
            "index_attention",
            "index_random_attention",
            "train_cnns",
            "search_taxonomies",
            "compute_saliency",
            "check_saliency",
        ),
        *("plot_attention_examples", "build_explorer"),
    }
)
"""Rules that read the attention store."""
CLUSTER = OF_THE_MODEL | OF_THE_ATTENTION
"""Rules that do not run where a bundle was unpacked."""


def write_bundle(results: Path, config: Mapping[str, Any], bundle: Path) -> dict[str, int]:
    """Packs a finished study.

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
    """Ends a run, before its first job, that would start rules of the cluster's where their study
    came in a bundle.

    Raises:
        EngramError: rules read what the bundle left out.
    """
    if (results / NOTE).is_file() and (rules := sorted(CLUSTER.intersection(planned))):
        raise EngramError(
            f"nothing was run: {', '.join(rules)} would read the model or the attention store, "
            f"which {results} was bundled without; run "
            f"them on the cluster and bundle again, or make here what can be made: python -m "
            f"engram bundle {results} --finish. To run all of the study here, delete "
            f"{results / NOTE}"
        )


@dataclass(frozen=True)
class Job:
    """A job of a dry run."""

    rule: str
    inputs: frozenset[str]
    outputs: tuple[str, ...]
    own_reason: bool
    """Whether something makes it run that is neither another job nor a file that the bundle left
    out.
    """


def planned_jobs(screen: str) -> list[Job]:
    """The jobs that a dry run prints; targets such as `all` have no output and are left out."""
    jobs = {}
    for rule, body in re.findall(
        r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", screen, flags=re.MULTILINE
    ):
        files = {
            key: tuple(text.split(", "))
            for key, text in re.findall(r"^    (input|output): (.+)$", body, flags=re.MULTILINE)
        }
        if outputs := files.get("output"):
            reason = "".join(re.findall(r"^    reason: (.+)$", body, flags=re.MULTILINE))
            own = bool(
                re.sub(
                    r"(Input files updated by another job|Missing output files): [^;]*", "", reason
                ).strip("; ")
            )
            jobs[outputs] = Job(rule, frozenset(files.get("input", ())), outputs, own)
    return list(jobs.values())


def needs_cluster(jobs: Sequence[Job]) -> list[Job]:
    """Jobs of the cluster's rules that config or code want anew, or that have never run, and all
    that waits for one.

    Where one figure of attention is to be drawn anew Snakemake plans all that leads to it, the
    model included, and then all that follows from that. So a job of the cluster's counts only where
    it has a reason of its own.
    """
    stuck = {job for job in jobs if job.rule in CLUSTER and (job.own_reason or not _made(job))}
    while True:
        missing = {output for job in stuck for output in job.outputs}
        if not (more := {job for job in jobs if job not in stuck and job.inputs & missing}):
            return [job for job in jobs if job in stuck]
        stuck |= more


def _made(job: Job) -> bool:
    """Whether a job's outputs are here, or were left out on purpose."""
    return all(
        Path(name).is_file()
        or any(Path(*Path(name).parts[2:]).match(pattern) for pattern in LEFT_OUT)
        for name in job.outputs
    )


def plan_text(results: Path, here: Sequence[Job], stuck: Sequence[Job]) -> str:
    """What is to be made anew here, and what on the cluster, as lines of text."""
    if not (here or stuck):
        return f"{results}: all is as config and code want it."
    lines = [f"{results}: {len(here)} jobs can run here, {len(stuck)} need the cluster."]
    if here:
        lines += ["Here, with --finish:", *_by_rule(here)]
    if stuck:
        shown = [
            name
            for job in stuck
            for name in job.outputs
            if re.match(rf"{results}/(tables|figures|explorer)", name)
        ]
        lines += ["On the cluster:", *_by_rule(stuck), "Files that wait for it, kept as they are:"]
        lines += [f"  {name.removeprefix(f'{results}/')}" for name in shown]
    return "\n".join(lines)


def _only_here(jobs: Sequence[Job]) -> list[str]:
    """Arguments that make the outputs of some jobs and take what the cluster made as it is."""
    return [
        *(name for job in jobs for name in job.outputs),
        "--allowed-rules",
        *sorted({job.rule for job in jobs}),
    ]


def _dry_run(config: Path, *arguments: str) -> list[Job]:
    done = launch.capture([*arguments, "--dry-run", "--nolock", "--configfile", str(config)])
    if done.returncode:
        raise EngramError(f"the dry run fails:\n{(done.stderr or done.stdout).strip()[-2000:]}")
    return planned_jobs(done.stdout + done.stderr)


def _by_rule(jobs: Sequence[Job]) -> Iterator[str]:
    return (
        f"  {rule} ({count})" if count > 1 else f"  {rule}"
        for rule, count in sorted(Counter(job.rule for job in jobs).items())
    )


def _snakemake_notes(results: Path) -> Iterator[tuple[str, Path]]:
    """Files of a study and where Snakemake notes how they were made: paths in base64, long ones in
    folders whose names begin with @.
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


def command(results: Path, config: Path | None = None, finish: bool = False) -> None:
    """Print what can be made where a bundle was unpacked, and make it if asked to.

    Args:
        results: folder of the study.
        config: of the study; None is the one in its folder.
        finish: whether to make what can be made here; this process becomes Snakemake.

    Raises:
        EngramError: no unpacked bundle, or a dry run fails.
    """
    if not (results / NOTE).is_file():
        raise EngramError(
            f"{results}: no {NOTE}; unpack a bundle in this folder first: tar xf "
            f"{results.name}.bundle.tar"
        )
    config = config or results / CONFIG
    planned = _dry_run(config)
    stuck = needs_cluster(planned)
    free = [job for job in planned if job not in stuck and job.rule not in CLUSTER]
    here = _dry_run(config, *_only_here(free)) if free else []
    print(plan_text(Path("results") / results.resolve().name, here, stuck), flush=True)
    if finish and here:
        launch.start([*_only_here(here), "--configfile", str(config)])
