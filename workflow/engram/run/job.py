"""What every workflow script does first: log to the rule's file, progress included, and turn a
user's error into one line.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from engram.io.errors import EngramError
from engram.run.records import input_checksums, record_outputs
from engram.run.settings_files import forget_earlier, read_settings

if TYPE_CHECKING:
    import pandas as pd

PARTS = Path("results/.parts")
"""Folder of finished work that survives killed jobs, in the folder that Snakemake runs in."""


@contextmanager
def job(snakemake: Any) -> Iterator[SimpleNamespace]:
    """Run a rule's body: log to `log:`, use the rule's threads, keep a record.

    The terminal belongs to Snakemake, which shows the log of a job that fails; where jobs run side
    by side their progress bars would overwrite each other there.

    An `EngramError` ends the job with its message alone; any other error keeps its traceback in
    the log.

    Yields:
        the settings of the stage as attributes; empty for a rule without a settings file.
    """
    threads = max(1, snakemake.threads)
    # For a torch that is imported later; many jobs need none.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    file = getattr(snakemake.input, "settings", None)
    settings = read_settings(file) if file else SimpleNamespace()
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    stderr = sys.stderr
    with path.open("w", buffering=1, encoding="utf-8", errors="backslashreplace") as log:
        sys.stderr = log
        logging.basicConfig(
            level=logging.INFO,
            format="%(asctime)s %(message)s",
            datefmt="%H:%M:%S",
            handlers=[logging.StreamHandler(sys.stderr)],
            force=True,
        )
        logging.captureWarnings(True)
        try:
            forget_earlier(snakemake.input)
            inputs = input_checksums(snakemake.input)
            yield settings
            record_outputs(snakemake, vars(settings), inputs)
        except EngramError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        finally:
            sys.stderr = stderr
            logging.getLogger().handlers.clear()


def gather(names: Sequence[Mapping[str, Any]], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return several tables as one, each row led by the names of its table as columns."""
    import pandas as pd

    parts = [
        pd.concat([pd.DataFrame(dict(own), index=table.index), table], axis=1)
        for own, table in zip(names, tables, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)
