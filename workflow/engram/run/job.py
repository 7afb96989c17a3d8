"""What every workflow script does first: log to the rule's file, show progress, turn a user's error
into one line.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from engram.io.errors import EngramError
from engram.run.records import record_outputs


class _Tee:
    """Writes to the terminal and the log, so that progress is seen while it runs and kept
    afterwards.
    """

    def __init__(self, *streams: IO[str]) -> None:
        self.streams = streams

    def write(self, text: str) -> int:
        for stream in self.streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        for stream in self.streams:
            stream.flush()


@contextmanager
def job(snakemake: Any) -> Iterator[None]:
    """Runs a rule's body: logging and progress go to `log:` and the terminal, torch uses the rule's
    threads, and where the outputs come from is written down.

    An `EngramError` ends the job with its message alone; any other error keeps its traceback in the
    log.
    """
    threads = max(1, snakemake.threads)
    os.environ["OMP_NUM_THREADS"] = str(
        threads
    )  # for a torch that is imported later; many jobs need none
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    stderr = sys.stderr
    with path.open("w", buffering=1) as file:
        sys.stderr = _Tee(stderr, file)  # type: ignore[assignment]
        handler = logging.StreamHandler(sys.stderr)
        logging.basicConfig(
            level=logging.INFO,
            format="%(asctime)s %(message)s",
            datefmt="%H:%M:%S",
            handlers=[handler],
            force=True,
        )
        logging.captureWarnings(True)
        try:
            yield
            record_outputs(snakemake)
        except EngramError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        finally:
            sys.stderr = stderr
            logging.getLogger().handlers.clear()
