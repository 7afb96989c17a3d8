"""What Snakemake forgets with `.snakemake`, and with the times of copied files, the records know.

A result is current if its record names the inputs as they are now. Snakemake without its memory
compares times alone, and copying a folder makes all of them new.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from engram.io.errors import EngramError
from engram.run.records import RECORDS
from engram.run.verify import outdated, path_of, read_records


def refresh(results: Path, memory: Path) -> dict[str, str]:
    """Make the plan rerun what the records call outdated, once for every memory of Snakemake's.

    The inputs of an outdated result get the present time, so that the result is older than they
    are.

    Args:
        results: folder of the study.
        memory: the folder `.snakemake`; what is found missing in it is noted there.

    Returns:
        outdated results, each with the input that has changed; empty where Snakemake remembers the
        study itself.
    """
    noted = memory / "engram_checked" / results.name
    if noted.is_file():
        return {}
    found: dict[str, str] = {}
    if (results / RECORDS).is_dir():
        with suppress(EngramError):  # a damaged record: `verify` says so
            found = outdated(results, read_records(results))
    # An input that is outdated itself is made again, and must stay older than its own inputs. A
    # user's own file is left as it is: the stage's settings hold its state.
    for source in set(found.values()) - set(found):
        if (path := path_of(results, source)).is_relative_to(results):
            with suppress(OSError):
                os.utime(path)
    with suppress(OSError):
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.touch()
    return found
