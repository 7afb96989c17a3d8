"""Snakemake and the scripts of its rules in forks of one process that has imported their libraries.

A start of Python with torch, transformers, pandas and Snakemake takes three seconds of processor
time, and a study of a hundred jobs starts that often. `Warm` starts one process that imports the
libraries, and nothing of Engram, and forks for every command. A fork sees what a new process would
see: its own folder, environment, path of modules, standard output, and Engram's code from the
checkout that it runs in. Snakemake runs the scripts of its rules the same way; all else, the
Snakefile, the plan, the scheduler and the shell around a job, is Snakemake's own.

The tiny study, its report, a killed run and everything on SLURM use the real command.

    python warm.py serve SOCKET            serves until its standard input ends
    python warm.py run SOCKET SCRIPT       runs a script in a fork and exits as it does
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import select
import signal
import socket
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

STREAMS = 2
"""A request brings its standard output and its standard error."""
OF_PLANS = (
    "jsonschema",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "smart_open",
    "snakemake.cli",
    "snakemake.script",
    "yaml",
)
OF_JOBS = (
    "fasttext",
    "h5py",
    "matplotlib.backends.backend_svg",
    "matplotlib.pyplot",
    "numba",
    "pyarrow.dataset",
    "safetensors.torch",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.linear_model",
    "tokenizers",
    "torch",
    "tqdm.auto",
    "transformers",
    "transformers.models.gpt_neox.modeling_gpt_neox",
)
"""Libraries that most jobs import; what is missing here costs time and changes nothing."""
PLUGINS = ("executor", "report", "scheduler", "storage")
"""Kinds of Snakemake's plugins; Engram brings one of another kind, a logger."""


def snakemake(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[int, str]:
    """Run Snakemake in a fork; return its exit status and all that it printed."""
    import tempfile

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
        streams = (printed.fileno(), printed.fileno())
        status = ask(server(), ["snakemake", *arguments], str(folder), environment, streams)
        printed.seek(0)
        return status, printed.read()


@functools.cache
def server() -> str:
    """Start the process that forks, for as long as this one lives; return its socket."""
    import atexit
    import subprocess
    import tempfile

    folder = tempfile.mkdtemp(prefix="warm-", dir="/tmp")  # names of sockets are short
    address = f"{folder}/socket"
    process = subprocess.Popen(
        [sys.executable, __file__, "serve", address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # its threads would not survive a fork
    )
    assert process.stdin and process.stdout
    assert process.stdout.readline() == b"ready\n", "the libraries cannot be imported; see above"

    def end() -> None:
        process.stdin.close()
        process.stdout.close()
        process.wait()

    atexit.register(end)
    return address


def ask(
    address: str,
    arguments: list[str],
    folder: str,
    environment: Mapping[str, str],
    streams: tuple[int, int],
) -> int:
    """Run a command in a fork; return its exit status, 137 for one that was killed.

    Args:
        address: socket of the process that forks.
        arguments: `snakemake` or a Python script, and its arguments.
        folder: working folder of the fork.
        environment: all its environment variables.
        streams: file descriptors of its standard output and standard error.
    """
    request = {"arguments": arguments, "folder": folder, "environment": dict(environment)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        content = json.dumps(request).encode()
        head = len(content).to_bytes(8, "big")
        socket.send_fds(connection, [head], list(streams))
        connection.sendall(content)
        answer = connection.recv(1)
    return answer[0] if answer else 137


def import_all(names: tuple[str, ...]) -> None:
    """Import modules, and have Snakemake look up its plugins."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            importlib.import_module(name)
    for kind in PLUGINS:
        registry = importlib.import_module(f"snakemake_interface_{kind}_plugins.registry")
        getattr(registry, f"{kind.capitalize()}PluginRegistry")()


def compile_once() -> None:
    """Compile a function with numba: half of what a job's first one takes is numba's own start."""
    import numba
    import numpy as np

    @numba.njit(nogil=True)
    def count(numbers: np.ndarray, counts: np.ndarray) -> None:
        for row in range(numbers.shape[0]):
            bits = np.uint64(0)
            for column in range(numbers.shape[1]):
                bits |= np.uint64(numbers[row, column] == 1) << np.uint64(column)
            counts[row] = bits & ~np.uint64(1)

    count(np.zeros((1, 2), np.int64), np.empty(1))


def remember_parsed(folder: Path) -> None:
    """Have forks share what Snakemake makes of the text of a file of rules: a third of a plan."""
    import hashlib
    import pickle

    from snakemake import workflow
    from snakemake.parser import parse

    def remembered(
        path: Any, workflow: Any, linemap: dict[int, int], rulecount: int = 0
    ) -> tuple[str, int]:
        name = path.get_path_or_uri(secret_free=True)
        text = f"{name}\0{rulecount}\0{Path(name).read_text(encoding='utf-8')}"
        known = folder / hashlib.sha256(text.encode()).hexdigest()
        if not known.exists():
            code, count = parse(path, workflow, rulecount=rulecount, linemap=linemap)
            part = known.with_suffix(f".{os.getpid()}")
            part.write_bytes(pickle.dumps((code, count, linemap)))
            part.replace(known)
            return code, count
        code, count, lines = pickle.loads(known.read_bytes())
        linemap.update(lines)
        return code, count

    workflow.parse = remembered


def _received(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = connection.recv(size)
        if not part:
            raise ConnectionError("the request ended early")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def serve(address: str) -> NoReturn:
    """Import the libraries, and fork for every request until standard input ends."""
    import shutil

    base = [
        entry
        for entry in sys.path[1:]  # without this script's own folder
        if entry not in os.environ.get("PYTHONPATH", "").split(os.pathsep)
    ]
    import_all((*OF_PLANS, *OF_JOBS))
    compile_once()
    _run_scripts_here(address)
    remember_parsed(Path(address).parent)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for forks
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                shutil.rmtree(Path(address).parent, ignore_errors=True)
                os._exit(0)
            connection, _ = listener.accept()
            if os.fork():
                connection.close()
                continue
            listener.close()
            _answer(connection, base)


def _run_scripts_here(address: str) -> None:
    """Have Snakemake run the scripts of rules by forks; the shell around them stays."""
    from snakemake.script import PythonScript

    def execute_script(self: PythonScript, fname: str, edit: bool = False) -> None:
        self._execute_cmd(
            "{python} -ISE {warm:q} run {address:q} {fname:q}",
            python=sys.executable,
            warm=os.path.abspath(__file__),  # noqa: PTH100  (pathlib costs every job 20 ms)
            address=address,
            fname=fname,
        )

    PythonScript.execute_script = execute_script


def _answer(connection: socket.socket, base: list[str]) -> NoReturn:
    """In a fork: become the process that was asked for, and send its exit status."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        head, streams, _, _ = socket.recv_fds(connection, 8, STREAMS)
        request = json.loads(_received(connection, int.from_bytes(head, "big")))
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
            os.close(stream)
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        status = _become(request["arguments"], request["folder"], request["environment"], base)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        connection.sendall(bytes([status]))
        os._exit(status)


def _become(arguments: list[str], folder: str, environment: dict[str, str], base: list[str]) -> int:
    """Run a command with the environment of a process of its own; return its exit status."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    named = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [*named, *base]
    return ended_by(arguments)


def ended_by(arguments: list[str]) -> int:
    """Run `snakemake` or a script in this process; return the status that it would exit with."""
    import runpy
    import traceback

    sys.argv = arguments
    try:
        if arguments[0] == "snakemake":
            from snakemake.cli import main

            main()
        else:
            sys.path.insert(0, os.path.dirname(os.path.abspath(arguments[0])))  # noqa: PTH100, PTH120
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 255
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    sys.exit(ask(sys.argv[2], sys.argv[3:], os.getcwd(), dict(os.environ), (1, 2)))  # noqa: PTH109
