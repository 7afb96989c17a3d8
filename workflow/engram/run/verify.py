"""`python -m engram verify results/<study> [FILE …]`: whether results are what their jobs wrote,
and where each comes from.

Compares every result with the record that its job left (`engram.run.records`). A file that was
edited by hand is named, with everything that follows from it; so is a file whose inputs have since
been made again. For the files that the command names, it prints their origin instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engram.io.errors import EngramError
from engram.run.records import RECORDS, checksum

Records = Mapping[str, Mapping[str, Any]]
"""File, as rules name it (`results/<study>/…`) → its record."""
_SHOWN = 5


@dataclass(frozen=True)
class Findings:
    """What is wrong with a study's files."""

    checked: int
    """Results that were compared with their record."""
    edited: list[str]
    """Those that are not what their job wrote."""
    outdated: dict[str, str]
    """Those that were made from another version of an input, or from an outdated result: file → the
    input."""
    unrecorded: list[str]
    """Tables, figures and other files that no job wrote."""


def read_records(results: Path) -> Records:
    """Return all records of a study whose file is still there.

    Raises:
        EngramError: no such study, or a record that cannot be read.
    """
    folder = results / RECORDS
    if not folder.is_dir():
        raise EngramError(
            f"{folder}: no records; give the folder of a study that this Engram has run, e.g. "
            f"results/demo"
        )
    records = {}
    for path in sorted(folder.rglob("*.json")):
        file = path.relative_to(folder).with_suffix("")
        if not (results / file).is_file():
            continue
        try:
            records[f"results/{results.resolve().name}/{file}"] = json.loads(path.read_text())
        except ValueError as error:
            raise EngramError(
                f"{path}: not a readable record ({error}); delete it and {file}, which is then "
                f"made again"
            ) from None
    return records


def verify(results: Path, records: Records) -> Findings:
    """Compare files with their records, and the records with one another.

    Args:
        results: folder of the study.
        records: of `read_records`.
    """
    edited = []
    for name, record in tqdm(records.items(), desc="checksums", unit="file", disable=None):
        path = path_of(results, name)
        if path.stat().st_size != record["bytes"] or checksum(path) != record["sha256"]:
            edited.append(name)
    found = [
        path
        for kind in ("tables", "figures")
        for path in (results / kind).rglob("*")
        if path.is_file()
    ]
    named = [f"results/{results.resolve().name}/{path.relative_to(results)}" for path in found]
    unrecorded = sorted(name for name in named if name not in records)
    return Findings(len(records), edited, outdated(results, records), unrecorded)


def outdated(results: Path, records: Records) -> dict[str, str]:
    """Return every result that was made from another version of an input, directly or through
    another outdated result: file → the input.

    Args:
        results: folder of the study.
        records: of `read_records`.
    """
    found: dict[str, str] = {}
    for name, record in records.items():
        for source, used in record["inputs"].items():
            if used is not None and used != _current(results, records, source, used):
                found[name] = source
                break
    for name in list(found):
        for other in followers(records, name):
            if other not in found:
                inputs = records[other]["inputs"]
                found[other] = next((source for source in inputs if source in found), name)
    return found


def followers(records: Records, name: str) -> list[str]:
    """Return all results that were made from a file, directly or not, sorted by name."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        source = waiting.pop()
        new = {other for other, record in records.items() if source in record["inputs"]} - found
        found |= new
        waiting += new
    return sorted(found)


def origin(records: Records, name: str) -> str:
    """Return what a result was made by and from, in lines."""
    record = records[name]
    upstream, waiting = {name}, [name]
    while waiting:
        for source in records.get(waiting.pop(), {}).get("inputs", {}):
            if source not in upstream:
                upstream.add(source)
                waiting.append(source)
    sources = sorted(source for source in upstream if source not in records)
    packages = ", ".join(f"{package} {number}" for package, number in record["packages"].items())
    wildcards = ", ".join(f"{key}={value}" for key, value in record["wildcards"].items())
    return "\n".join(
        [
            name,
            f"  sha256    {record['sha256']}",
            f"  rule      {record['rule']} ({wildcards})"
            if wildcards
            else f"  rule      {record['rule']}",
            f"  settings  {json.dumps(record['settings'])}",
            f"  versions  engram {record['engram']}, python {record['python']}, {packages}",
            *(
                f"  input     {source} {used or '(not made by a job)'}"
                for source, used in record["inputs"].items()
            ),
            *(f"  source    {source}" for source in sources),
        ]
    )


def report(findings: Findings, records: Records) -> str:
    """Return the findings in words."""
    lines = [f"{findings.checked} results compared with what their jobs recorded."]
    for name in findings.edited:
        made = followers(records, name)
        lines.append(
            f"CHANGED   {name} is not what {records[name]['rule']} wrote; {len(made)} results "
            f"follow from it{_some(made)}"
        )
    for name, source in findings.outdated.items():
        lines.append(f"OUTDATED  {name} was made from another version of {source}; run snakemake")
    lines += [f"UNKNOWN   {name} was written by no job" for name in findings.unrecorded]
    if findings.edited:
        lines.append(
            "Delete a changed file and run snakemake: it makes it and everything that follows."
        )
    return "\n".join(lines if len(lines) > 1 else [*lines, "All are as they were written."])


def _some(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f": {', '.join(names[:_SHOWN])}" + (
        f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    )


def _current(results: Path, records: Records, source: str, used: str) -> str | None:
    """Return the checksum that an input has now: its record's, or a settings file's own.

    Of a temporary file, which is deleted after its last use, the record remains; of a user's file
    that is no longer here, the checksum that was used.
    """
    if source in records:
        return str(records[source]["sha256"])
    path = path_of(results, source)
    if path.is_file():
        return checksum(path)
    if not _is_in(results, source):
        return used
    record = results / RECORDS / f"{path.relative_to(results)}.json"
    return str(json.loads(record.read_text())["sha256"]) if record.is_file() else None


def path_of(results: Path, name: str) -> Path:
    """Return where a file lies, by the name that rules give it: `results/<study>/…`, or a path of
    the user's.
    """
    return results / name.removeprefix(_prefix(results)) if _is_in(results, name) else Path(name)


def _is_in(results: Path, name: str) -> bool:
    return name.startswith(_prefix(results))


def _prefix(results: Path) -> str:
    """Return what the names of a study's files begin with."""
    return f"results/{results.resolve().name}/"


def command(results: Path, files: Sequence[str]) -> int:
    """Print what differs from the records of a study, or where some of its results come from.

    Args:
        results: folder of the study.
        files: results whose origin is printed; without any, all results are compared.

    Returns:
        1 where a result was edited, is outdated or has no record, else 0.

    Raises:
        EngramError: no study in the folder, or no record of a file.
    """
    records = read_records(results)
    study = f"results/{results.resolve().name}"
    if missing := [file for file in files if f"{study}/{file}" not in records]:
        raise EngramError(
            f"{results / missing[0]}: no record; name a file as it is called under {results}"
        )
    for file in files:
        print(origin(records, f"{study}/{file}"))
    if files:
        return 0
    findings = verify(results, records)
    print(report(findings, records))
    return int(bool(findings.edited or findings.outdated or findings.unrecorded))
