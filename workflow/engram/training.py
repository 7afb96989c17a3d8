"""Trains the whole grid of CNNs of one taxonomy, with its controls and baselines: one job, resumable, the same numbers each time.

Every CNN is trained in one thread, several at a time. Its parameters, dropout and shuffled labels come from a seed of its own that
depends on its key alone, its batches from the grid's seed, so that it comes out the same whatever else is trained beside it. CNNs do
not share batches: fused convolutions saved nothing in float32 and a fifth in bfloat16.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from engram.artifacts import write_csv, write_parquet
from engram.checkpoints import save_cnns
from engram.cnn import Architecture, AttentionCNN
from engram.cnn_key import CnnKey
from engram.cnn_settings import PROBES, CnnSettings
from engram.dataset import Dataset
from engram.digests import code_digest
from engram.epoch import Epoch, Near, batch_of
from engram.errors import EngramError
from engram.probes import choose_all
from engram.sampling import SPLITS
from engram.tensors import read_tensors, write_tensors

log = logging.getLogger(__name__)

SELECTIONS = ("best_epoch", "all_epochs")
EVALUATION_BATCH = 64


@dataclass(frozen=True)
class TrainedCnn:
    """One CNN after training."""

    parameters: dict[str, torch.Tensor]
    """Its state at the reported epoch (the last one where all are); empty if it diverged."""
    history: list[dict]
    """epoch (from 1), split, loss (mean nats per sample), accuracy, selected."""
    row: np.ndarray
    """Predicted samples as positions in the data set, int64 (m,)."""
    epoch: np.ndarray
    """Epoch of each prediction, int64 (m,)."""
    logits: np.ndarray
    """float32 (m, K)."""

    @property
    def diverged(self) -> bool:
        """Whether a loss or a logit was not finite: the CNN then reports nothing."""
        return not self.parameters


@dataclass(frozen=True)
class GridResult:
    """The trained grid of one taxonomy."""

    dataset: Dataset
    selection: str
    architectures: dict[CnnKey, Architecture]
    """Of the CNNs."""
    trained: dict[CnnKey, TrainedCnn] = field(default_factory=dict)
    """The CNNs, and then the probes."""


def train_grid(dataset: Dataset, settings: CnnSettings, selection: str, parts: Path | None = None) -> GridResult:
    """Trains every CNN of the grid, as many at a time as torch has threads; on a GPU one after the other, which keeps it as busy.

    Args:
        dataset: samples and attention of one taxonomy.
        settings: grid and training.
        selection: `best_epoch` predicts all splits with the epoch of the lowest validation loss (the first of equals); the test split
            is evaluated once, at that epoch. The loss is preferred to the accuracy because a small validation split tells epochs apart
            by it. `all_epochs` is the paper's way: it predicts the test split after every epoch and chooses nothing.
        parts: folder where finished CNNs are kept, so that a killed job goes on and another study finds what it shares.

    Raises:
        EngramError: a data set that cannot be trained on (see `Dataset.check`), or no CNN on real attention whose loss stayed finite.
    """
    if selection not in SELECTIONS:
        raise EngramError(f"selection {selection!r}: choose {' or '.join(SELECTIONS)}")
    if settings.device != "cpu" and not torch.cuda.is_available():
        raise EngramError(f"cnn.device: {settings.device}, but this machine has no GPU that torch can use; take cpu")
    dataset.check(SPLITS if selection == "best_epoch" else ("train", "test"))
    grid = settings.grid()
    result = GridResult(dataset, selection, grid)
    files = _part_files(dataset, settings, selection, parts) if parts else {}
    for key, path in files.items():
        if (kept := _read_part(path)) is not None:
            result.trained[key] = kept
    if result.trained:
        log.info("%d of %d CNNs were trained before", len(result.trained), len(grid))
    # Those that read the same maps in the same order stand together, so that what one has read from disk is there for the next.
    waiting = sorted((key for key in grid if key not in result.trained), key=lambda key: (key.seed, key.input, grid[key].head_pooling))
    _keep_freed_memory()
    threads, stop = torch.get_num_threads(), Event()
    workers = threads if settings.device == "cpu" else 1
    total = settings.epochs * len(grid)
    torch.set_num_threads(1)  # of the calling thread; the workers set their own
    try:
        with (
            tqdm(total=total, initial=total - settings.epochs * len(waiting), desc="CNN epochs", unit="epoch", mininterval=2) as progress,
            ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        ):

            def after_epoch() -> None:
                if stop.is_set():
                    raise KeyboardInterrupt
                progress.update()

            near = Near(settings.device)
            jobs = {pool.submit(train_cnn, dataset, key, grid[key], settings, selection, after_epoch, near): key for key in waiting}
            try:
                for job in as_completed(jobs):
                    result.trained[jobs[job]] = trained = job.result()
                    if trained.diverged:
                        log.warning("%s diverged: its loss is not finite; it reports nothing", jobs[job].path)
                    if jobs[job] in files:
                        _write_part(files[jobs[job]], trained)
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(threads)
    _check_divergence(result, settings)
    for baseline in settings.probes():
        result.trained.update(fit_probes(dataset, baseline, selection))
    return result


def train_cnn(
    dataset: Dataset,
    key: CnnKey,
    architecture: Architecture,
    settings: CnnSettings,
    selection: str,
    after_epoch: Callable[[], None] = lambda: None,
    near: Near | None = None,
) -> TrainedCnn:
    """Trains one CNN; the same numbers for the same arguments on one machine with one torch thread.

    The history's `train` rows are measured while the CNN learns, with dropout; the others after the epoch, without. `shuffled` CNNs
    are measured against the permuted labels on train and validation, against the true ones on test.
    """
    seed = int.from_bytes(hashlib.blake2b(key.path.encode(), digest_size=8).digest()) >> 1
    random, order = np.random.default_rng(seed), np.random.default_rng([key.seed, 0])  # all CNNs of a seed read in one order
    maps = (near or Near(settings.device)).maps(dataset, key.input, architecture.head_pooling)  # (n, channels, P)
    label = torch.from_numpy(learned_labels(dataset, key.labels, random))  # (n,)
    cnn = AttentionCNN.of(architecture, dataset.layers(key.input), len(dataset.classes), dataset.window)
    cnn.initialize(seed)
    cnn.to(settings.device)
    one_epoch = Epoch(cnn, maps, label, settings)
    train, judged = dataset.rows("train"), dataset.rows("validation" if selection == "best_epoch" else "test")
    history: list[dict] = []
    predicted: list[tuple[int, np.ndarray, np.ndarray]] = []  # epoch, rows, logits
    best, state = math.inf, cnn.state_dict()
    for epoch in range(1, settings.epochs + 1):
        history.append({"epoch": epoch, "split": "train", **one_epoch.over(order.permutation(train))})
        if math.isfinite(history[-1]["loss"]):
            logits = predict(cnn, maps, judged, settings.precision)
            split = "validation" if selection == "best_epoch" else "test"
            history.append({"epoch": epoch, "split": split, **_measure(logits, label[judged])})
        loss = history[-1]["loss"]
        if not math.isfinite(loss):
            return _lost(history, len(dataset.classes))
        if selection == "all_epochs":
            predicted.append((epoch, judged, logits))
        elif loss < best:
            best, state = loss, {name: value.clone() for name, value in cnn.state_dict().items()}
            predicted = [(epoch, judged, logits)]
        after_epoch()
    if selection == "best_epoch":
        cnn.load_state_dict(state)
        epoch = predicted[0][0]
        for split in ("train", "test"):
            rows = dataset.rows(split)
            predicted.append((epoch, rows, predict(cnn, maps, rows, settings.precision)))
        history.append({"epoch": epoch, "split": "test", **_measure(predicted[-1][2], label[rows])})
    if not all(np.isfinite(logits).all() for _, _, logits in predicted):
        return _lost(history, len(dataset.classes))
    reported = {epoch for epoch, _, _ in predicted}
    return TrainedCnn(
        parameters={name: value.cpu().clone().contiguous() for name, value in cnn.state_dict().items()},
        history=[{**row, "selected": row["epoch"] in reported} for row in history],
        row=np.concatenate([rows for _, rows, _ in predicted]),
        epoch=np.concatenate([np.full(len(rows), epoch) for epoch, rows, _ in predicted]),
        logits=np.concatenate([logits for _, _, logits in predicted]),
    )


def _lost(history: list[dict], classes: int) -> TrainedCnn:
    """A CNN that diverged: its history, and nothing that could count."""
    none = np.empty(0, np.int64)
    return TrainedCnn({}, [{**row, "selected": False} for row in history], none, none, np.empty((0, classes), np.float32))


def fit_probes(dataset: Dataset, baseline: str, selection: str) -> dict[CnnKey, TrainedCnn]:
    """Fits the logistic regressions of a baseline, in the form of trained CNNs.

    Each is in the history, as epoch 0; only the one with the lowest loss where it was chosen predicts.
    """
    label, classes = dataset.label.astype(np.int64), len(dataset.classes)
    train, validation = dataset.rows("train"), dataset.rows("validation") if selection == "best_epoch" else np.empty(0, np.int64)
    inputs = dataset.features[baseline]
    chosen = choose_all(inputs, label, classes, train, validation, baseline.replace("_", " "))
    probes: dict[CnnKey, TrainedCnn] = {}
    for name, choice in chosen.items():
        first, probe = not probes, choice.probe
        predicted = [dataset.rows(split) for split in (SPLITS if selection == "best_epoch" else ("test",))] if first else []
        rows = np.concatenate([np.empty(0, np.int64), *predicted])
        history = []
        for split in ("train", "validation") if selection == "best_epoch" else ("train",):
            mine = dataset.rows(split)
            measured = _measure(probe.logits(inputs[name][mine]), torch.from_numpy(label[mine]))
            history.append({"epoch": 0, "split": split, **measured, "selected": first})
        parameters = {part: torch.from_numpy(getattr(probe, part)) for part in ("mean", "scale", "weight", "bias")}
        probes[CnnKey(baseline, "real", name, 0)] = TrainedCnn(
            parameters, history, rows, np.zeros(len(rows), np.int64), probe.logits(inputs[name][rows])
        )
    return probes


def learned_labels(dataset: Dataset, labels: str, random: np.random.Generator) -> np.ndarray:
    """The labels a CNN learns from, int64 (n,): the true ones, or those permuted within train and within validation."""
    label = dataset.label.astype(np.int64)
    if labels == "shuffled":
        for split in ("train", "validation"):
            rows = dataset.rows(split)
            label[rows] = random.permutation(label[rows])
    return label


def predict(cnn: AttentionCNN, maps: np.ndarray | torch.Tensor, rows: np.ndarray, precision: str = "float32") -> np.ndarray:
    """Logits without dropout, float32 (len(rows), K).

    Args:
        cnn: the CNN.
        maps: packed maps of all samples, (n, L, P).
        rows: positions of the samples to predict.
        precision: `float32` or `bfloat16`.
    """
    cnn.eval()
    device = cnn.fc2.weight.device
    logits = np.empty((len(rows), cnn.classes), np.float32)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        for start in range(0, len(rows), EVALUATION_BATCH):
            batch = rows[start : start + EVALUATION_BATCH]
            logits[start : start + EVALUATION_BATCH] = cnn.classify_packed(batch_of(maps, batch, device)).float().cpu().numpy()
    return logits


def write_results(result: GridResult, checkpoints: Path, history: Path, predictions: Path, taxonomy: str) -> None:
    """Writes checkpoints.safetensors, history.csv and predictions.parquet; of CNNs that diverged there is the history, and their names in
    the metadata of the predictions.

    Args:
        result: of `train_grid`.
        checkpoints: path of the CNNs.
        history: path of input, labels, cnn, seed, epoch, split, loss, accuracy, selected.
        predictions: path of sequence_id, content_group, split, class (the true one), input, labels, cnn, seed, epoch, logits.
        taxonomy: name for the metadata of the predictions.
    """
    probes = {key: probe for key, probe in result.trained.items() if key.input in PROBES}
    data, trained = result.dataset, {key: result.trained[key] for key in result.architectures} | probes
    layers, tokens = data.layers("attention"), data.window
    parameters = {key: cnn.parameters for key, cnn in trained.items() if key in result.architectures and not cnn.diverged}
    save_cnns(checkpoints, parameters, set(result.architectures.values()), data.classes, layers, tokens)
    write_csv(pd.DataFrame([{**vars(key), **row} for key, cnn in trained.items() for row in cnn.history]), history)
    frames = []
    for key, cnn in trained.items():
        columns = {
            "sequence_id": data.sequence_id[cnn.row],
            "content_group": data.content_group[cnn.row],
            "split": data.split[cnn.row],
            "class": np.array(data.classes, dtype=object)[data.label[cnn.row]],
            **vars(key),
            "epoch": cnn.epoch,
            "logits": list(cnn.logits),
        }
        frames.append(pd.DataFrame(columns))
    metadata = {"classes": list(data.classes), "taxonomy": taxonomy, "selection": result.selection}
    metadata["diverged"] = [key.path for key, cnn in trained.items() if cnn.diverged]
    write_parquet(pd.concat([frame for frame in frames if len(frame)], ignore_index=True), predictions, metadata)


def _measure(logits: np.ndarray, label: torch.Tensor) -> dict[str, float]:
    scores = torch.from_numpy(logits)
    loss = cross_entropy(scores.double(), label).item()
    return {"loss": loss, "accuracy": (scores.argmax(1) == label).double().mean().item()}


def _keep_freed_memory() -> None:
    """Has the C library keep freed memory for the next step rather than fetch it from the system again: every step allocates the same
    few megabytes, and page faults would take a fifth of the time. Does nothing where the C library is not glibc."""
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)  # the largest that glibc accepts


def _check_divergence(result: GridResult, settings: CnnSettings) -> None:
    main = [cnn for key, cnn in result.trained.items() if (key.input, key.labels) == ("attention", "real")]
    if all(cnn.diverged for cnn in main):
        raise EngramError(
            f"all {len(main)} CNNs on attention diverged (a loss is not finite) at cnn.learning_rate {settings.learning_rate:g}; lower it"
        )


def _part_files(dataset: Dataset, settings: CnnSettings, selection: str, parts: Path) -> dict[CnnKey, Path]:
    """Where each finished CNN is kept: the name says everything that it depends on, code included."""
    samples = _digest(dataset.sequence_id, dataset.label, dataset.split.astype(bytes))
    architectures = settings.grid()
    maps = {where: _digest(dataset.maps(*where)) for where in {(key.input, shape.head_pooling) for key, shape in architectures.items()}}
    common = [samples, list(dataset.classes), settings.training(), selection, torch.__version__, code_digest(Path(__file__))]
    files = {}
    for key, shape in architectures.items():
        text = json.dumps([*common, maps[key.input, shape.head_pooling], key.path, vars(shape)], sort_keys=True)
        files[key] = parts / f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.safetensors"
    return files


def _digest(*arrays: np.ndarray) -> str:
    """Of the arrays' types, shapes and bytes."""
    sha = hashlib.blake2b(digest_size=16)
    for array in arrays:
        sha.update(f"{array.dtype} {array.shape} ".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def _write_part(path: Path, trained: TrainedCnn) -> None:
    tensors = {f"parameter/{name}": value for name, value in trained.parameters.items()}
    tensors |= {name: torch.from_numpy(getattr(trained, name)) for name in ("row", "epoch", "logits")}
    write_tensors(tensors, path, {"history": json.dumps(trained.history)})


def _read_part(path: Path) -> TrainedCnn | None:
    """The CNN kept under `path`; None where there is none, or one that cannot be read and is trained again."""
    if not path.exists():
        return None
    try:
        tensors, metadata = read_tensors(path)
    except EngramError as error:
        log.warning("%s; training the CNN again", error)
        return None
    parameters = {name.removeprefix("parameter/"): value for name, value in tensors.items() if name.startswith("parameter/")}
    return TrainedCnn(parameters, json.loads(metadata["history"]), *(tensors[name].numpy() for name in ("row", "epoch", "logits")))
