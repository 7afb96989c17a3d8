"""Δ: which attention, in which layer, speaks for a class (paper, localization; Figures 6 and 13–18).

For a CNN and a class t0, over samples of t0, with B(t) the backpropagation of logit t to the CNN's input:

    C = B(t0) − mean over t ≠ t0 of B(t)        what speaks for t0 rather than another class
    D = clip(C / max C, min 0)                  per sample, over all layers and causal cells
    Δ = mean over samples of max over heads of D · A

Δ is averaged over CNNs. The definition asks for every head, yet pooled maps give the same Δ exactly: under mean pooling each head of a
cell has the same gradient, so max over heads of D · A is D times the largest attention of any head; under max pooling the gradient
reaches the head of the largest attention alone. The tests hold both against the definition, head by head.

What the study's code did otherwise, and this does not: its "guided" backpropagation was the plain gradient; it normalised over cells
above the diagonal too, where attention is always 0; it flipped signs or made NaN where no C is positive. Here D is 0 in that case, and
counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from engram import SCHEMA_VERSION
from engram.artifacts import whole
from engram.cnn import AttentionCNN, square_maps
from engram.errors import EngramError

METHODS = ("guided", "gradient")
_BATCH = 32


@dataclass(frozen=True)
class Saliency:
    """Δ of a set of CNNs by one method; K classes, C CNNs, L layers, P packed cells."""

    delta: np.ndarray
    """Mean over CNNs of Δ, float32 (K, L, P): attention weighted by evidence, in [0, 1]."""
    spread: np.ndarray
    """Standard deviation over CNNs of Δ, float32 (K, L, P); 0 for one CNN."""
    profile: np.ndarray
    """Sum of Δ over the cells of a layer, per CNN, float32 (C, K, L)."""
    classes: list[str]
    """Class names."""
    cnns: list[str]
    """Names of the CNNs."""
    n: list[int]
    """Samples per class, (K,)."""
    dead: int
    """CNNs whose gradient is zero everywhere, for every sample of every class; their Δ of 0 is part of the mean."""
    without_evidence: list[int]
    """Per class, pairs of CNN and sample where no C is positive and D therefore 0, (K,); those of dead CNNs included."""


@contextmanager
def guided(cnn: nn.Module) -> Iterator[None]:
    """Makes backward passes through `cnn` guided ones: each ReLU passes on positive gradients only, in addition to its own mask
    (Springenberg et al., Striving for Simplicity, 2015). The hooks are removed at the end of the block.

    Raises:
        ValueError: `cnn` has no ReLU module, so that nothing would be guided.
    """

    def clip(_module: nn.Module, gradients: tuple[torch.Tensor, ...], _outputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(gradient.clamp(min=0) for gradient in gradients)

    relus = [module for module in cnn.modules() if isinstance(module, nn.ReLU)]
    if not relus:
        raise ValueError("guided backpropagation needs ReLU modules, and this network has none")
    handles = [relu.register_full_backward_hook(clip) for relu in relus]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def contrast(cnn: AttentionCNN, attention: torch.Tensor, target: int, method: str) -> torch.Tensor:
    """C, what speaks for the target class rather than another, per cell of the attention itself (scaling of the input included).

    The plain gradient is linear in the logits, so that one backward pass gives C. Guided backpropagation is not: it takes K passes.

    Args:
        cnn: the CNN; its dropout is off during the call.
        attention: packed, pooled as the CNN wants it, (n, L, P) float32.
        target: index of the class t0.
        method: `guided` or `gradient`.

    Returns:
        (n, L, P).
    """
    weights = torch.full((cnn.classes,), -1 / (cnn.classes - 1))  # (K,)
    weights[target] = 1
    training = cnn.training
    cnn.eval()
    try:
        packed = attention.detach().requires_grad_()
        if method == "gradient":
            return torch.autograd.grad((cnn(square_maps(packed)) * weights).sum(), packed)[0]
        with guided(cnn):
            logits = cnn(square_maps(packed))  # (n, K)
            result = torch.zeros_like(packed)
            for t, weight in enumerate(weights.tolist()):
                result += weight * torch.autograd.grad(logits[:, t].sum(), packed, retain_graph=t + 1 < cnn.classes)[0]
        return result.detach()
    finally:
        cnn.train(training)


def normalize(evidence: torch.Tensor) -> torch.Tensor:
    """D: C over its largest value per sample, negative values set to 0; all 0 for a sample where no C is positive.

    Args:
        evidence: C on causal cells, (n, L, P).
    """
    largest = evidence.amax(dim=(1, 2), keepdim=True)  # (n, 1, 1)
    return evidence.clamp(min=0) / torch.where(largest > 0, largest, 1)


@dataclass(frozen=True)
class Delta:
    """Δ of one CNN and class."""

    map: np.ndarray
    """Δ, float32 (L, P)."""
    without_evidence: int
    """Samples where no C is positive."""
    dead: bool
    """Whether C is 0 everywhere."""


def delta(cnn: AttentionCNN, attention: np.ndarray, attention_max: np.ndarray, target: int, method: str) -> Delta:
    """Δ of one CNN over samples of one class.

    Args:
        cnn: the CNN.
        attention: packed attention pooled by `cnn.head_pooling`, (n, L, P).
        attention_max: packed attention of the largest head, (n, L, P).
        target: index of the samples' class.
        method: `guided` or `gradient`.

    Raises:
        EngramError: no samples, or an unknown method.
    """
    if method not in METHODS:
        raise EngramError(f"saliency method {method!r}: choose {' or '.join(METHODS)}")
    if len(attention) == 0:
        raise EngramError(f"saliency: class number {target} has no sample; take more samples per class")
    total = torch.zeros(attention.shape[1:], dtype=torch.float64)  # (L, P)
    without, dead = 0, True
    for start in range(0, len(attention), _BATCH):
        batch = slice(start, start + _BATCH)
        evidence = contrast(cnn, torch.from_numpy(attention[batch]).float(), target, method)  # (b, L, P)
        without += int((evidence.amax(dim=(1, 2)) <= 0).sum())
        dead = dead and not evidence.any()
        total += (normalize(evidence) * torch.from_numpy(attention_max[batch]).float()).sum(dim=0)
    return Delta((total / len(attention)).float().numpy(), without, dead)


def saliency_of_grid(
    cnns: Mapping[str, AttentionCNN],
    mean: np.ndarray,
    maximum: np.ndarray,
    label: np.ndarray,
    classes: Sequence[str],
    methods: Sequence[str],
) -> dict[str, Saliency]:
    """Δ of every class, averaged over CNNs, by every method.

    Args:
        cnns: name → CNN; those trained on real labels and attention, for the paper's Δ.
        mean: attention averaged over heads, packed, (n, L, P), of samples that no CNN was trained on.
        maximum: attention of the largest head, packed, (n, L, P).
        label: index of the class, (n,).
        classes: the K class names.
        methods: of `METHODS`.

    Raises:
        EngramError: no CNN, a class without samples, or an unknown method.
    """
    if not cnns:
        raise EngramError("saliency: no CNN was trained on attention with real labels; look into history.csv for CNNs that diverged")
    rows = [np.flatnonzero(label == k) for k in range(len(classes))]
    if empty := [name for name, mine in zip(classes, rows, strict=True) if not len(mine)]:
        raise EngramError(f"saliency: class {empty[0]} has no held-out sample; take more samples per class")
    found: dict[str, list[list[Delta]]] = {method: [] for method in methods}
    with tqdm(total=len(methods) * len(cnns), desc="saliency", unit="CNN", mininterval=2) as progress:
        for method in methods:
            for cnn in cnns.values():
                pooled = mean if cnn.head_pooling == "mean" else maximum
                found[method].append([delta(cnn, pooled[mine], maximum[mine], k, method) for k, mine in enumerate(rows)])
                progress.update()
    counts = [len(mine) for mine in rows]
    return {method: _gather(per_cnn, list(classes), list(cnns), counts) for method, per_cnn in found.items()}


def choose_held_out(split: np.ndarray, label: np.ndarray, priority: np.ndarray, per_class: int) -> np.ndarray:
    """Positions of the test samples that Δ is averaged over: per class those of the lowest priority, at most `per_class`; sorted."""
    test = np.flatnonzero(split == "test")
    chosen = [mine[np.argsort(priority[mine], kind="stable")][:per_class] for k in np.unique(label) if len(mine := test[label[test] == k])]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def write_saliency(path: Path, saliency: Mapping[str, Saliency], taxonomy: str) -> None:
    """Writes one HDF5 group per method: delta, spread (K, L, P), profile (C, K, L), and what `Saliency` says as attributes."""
    with whole(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["schema_version"], file.attrs["taxonomy"] = SCHEMA_VERSION, taxonomy
        for method, found in saliency.items():
            group = file.create_group(method)
            for name in ("delta", "spread", "profile"):
                group.create_dataset(name, data=getattr(found, name), compression="gzip", shuffle=True)
            for name in ("classes", "cnns", "n", "dead", "without_evidence"):
                group.attrs[name] = getattr(found, name)
            group.attrs["taxonomy"] = taxonomy


def read_saliency(path: Path, method: str) -> Saliency:
    """The saliency of one method from a file that `write_saliency` wrote.

    Raises:
        EngramError: no such file, another schema version, or a method that it does not hold.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("schema_version") != SCHEMA_VERSION:
                raise EngramError(
                    f"{path}: not of schema version {SCHEMA_VERSION}, which this Engram reads; delete it to have it made anew"
                )
            if method not in file:
                raise EngramError(f"{path}: it holds {', '.join(file)}, not {method}; add {method} to saliency.methods")
            group = file[method]
            arrays = {name: group[name][:] for name in ("delta", "spread", "profile")}
            lists = {name: group.attrs[name].tolist() for name in ("classes", "cnns", "n", "without_evidence")}
            return Saliency(**arrays, **lists, dead=int(group.attrs["dead"]))
    except FileNotFoundError:
        raise EngramError(f"{path}: no such file") from None
    except OSError as error:
        raise EngramError(f"{path}: cannot be read ({error}); delete it to have it made anew") from None


def _gather(per_cnn: list[list[Delta]], classes: list[str], cnns: list[str], n: list[int]) -> Saliency:
    maps = np.stack([[found.map for found in row] for row in per_cnn])  # (C, K, L, P)
    return Saliency(
        delta=maps.mean(axis=0),
        spread=maps.std(axis=0, ddof=1) if len(maps) > 1 else np.zeros_like(maps[0]),
        profile=maps.sum(axis=-1),
        classes=classes,
        cnns=cnns,
        n=n,
        dead=sum(all(found.dead for found in row) for row in per_cnn),
        without_evidence=[sum(row[k].without_evidence for row in per_cnn) for k in range(len(classes))],
    )
