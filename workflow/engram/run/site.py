"""What a SLURM site calls its partitions and accounts: a file outside the checkout that
`profiles/slurm` reads.

# ~/.config/engram/site.yaml, or the file that ENGRAM_SITE names
cpu_partition: standard
gpu_partition: a100
account: my_project
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from engram.io.errors import EngramError
from engram.run.project import ROOT

VARIABLE = "ENGRAM_SITE"
DEFAULT_FILE = Path("~/.config/engram/site.yaml")


@dataclass(frozen=True)
class Site:
    """Names and limits of one cluster; an empty text leaves the choice to SLURM."""

    cpu_partition: str = "cpu"
    """Partition of the rules that need no GPU."""
    gpu_partition: str = "gpu"
    """Partition of the rules that ask for `gpu=1`."""
    account: str = ""
    """Account that is charged (`sbatch --account`)."""
    qos: str = ""
    """Quality of service (`sbatch --qos`)."""
    gpu_model: str = ""
    """Model of GPU, as the site's `Gres` names it: `--gpus=<model>:1`."""
    gpu_constraint: str = ""
    """Feature that nodes of GPU jobs must have (`sbatch --constraint`)."""
    cnn_device: str = "cpu"
    """As the study's `cnn.device`: `cuda` sends the training of CNNs to the GPU partition."""
    jobs: int = 50
    """Most jobs in the queue at one time."""
    local_cores: int = 4
    """Cores that figures and small tables may take where Snakemake itself runs."""

    @property
    def everywhere(self) -> dict[str, str]:
        """Resources of every job, as Snakemake's SLURM plugin names them."""
        return {"slurm_partition": self.cpu_partition} | _given(
            slurm_account=self.account, qos=self.qos
        )

    @property
    def on_gpu(self) -> dict[str, str]:
        """Resources of the rules that ask for `gpu=1`."""
        return {"slurm_partition": self.gpu_partition} | _given(
            gpu_model=self.gpu_model, constraint=self.gpu_constraint
        )

    @property
    def for_cnns(self) -> dict[str, str]:
        """Resources of the training of CNNs."""
        return self.on_gpu if self.cnn_device == "cuda" else {}


def _given(**names: str) -> dict[str, str]:
    """Return the values that are not empty."""
    return {key: name for key, name in names.items() if name}


def site_file() -> Path:
    """Return where this user's site file lies, or would lie."""
    return Path(os.environ.get(VARIABLE) or DEFAULT_FILE).expanduser()


def read_profile(name: str) -> dict[str, Any]:
    """Return the settings of a profile of this project as Snakemake reads them,
    `profiles/<name>/config.yaml`.
    """
    import yte  # only Snakemake's main process asks for it

    text = (ROOT / "profiles" / name / "config.yaml").read_text(encoding="utf-8")
    return dict(yte.process_yaml(text, require_use_yte=True))


def load_site() -> Site:
    """Return the site file's values over the defaults; the defaults alone where there is no such
    file.

    Raises:
        EngramError: the file that ENGRAM_SITE names is missing, is no mapping, or has a key or
            value that is none of ours.
    """
    path = site_file()
    if not path.exists():
        if os.environ.get(VARIABLE):
            raise EngramError(f"{path}: no such file; {VARIABLE} names it")
        return Site()
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise EngramError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise EngramError(
            f"{path}: lines of `key: value` are wanted, this is a {type(values).__name__}"
        )
    known = {field.name: type(field.default) for field in fields(Site)}
    for key, value in values.items():
        if key not in known:
            raise EngramError(f"{path}: key {key!r} is unknown; there are {', '.join(known)}")
        _check_value(path, key, value, known[key])
    if values.get("cnn_device", "cpu") not in ("cpu", "cuda"):
        raise EngramError(f"{path}: cnn_device is {values['cnn_device']!r}; it is cpu or cuda")
    typed: dict[str, Any] = {
        key: str(value) if known[key] is str else value for key, value in values.items()
    }
    return Site(**typed)


def _check_value(path: Path, key: str, value: Any, kind: type) -> None:
    """Check a value of the site file.

    Raises:
        EngramError: it is not of the kind.
    """
    if kind is int and (type(value) is not int or value < 1):
        raise EngramError(f"{path}: {key} is {value!r}; a whole number from 1 on is wanted")
    # Accounts and partitions may look like numbers.
    if kind is str and (
        type(value) not in (str, int) or any(mark in str(value) for mark in " '\"\n")
    ):
        raise EngramError(f"{path}: {key} is {value!r}; a name without spaces or quotes is wanted")
