"""Trains the whole grid of CNNs of one taxonomy, with its controls and baselines: one job,
resumable, the same numbers each time.

Every CNN is trained in one thread, several at a time. Its parameters, dropout and shuffled labels
come from its own seed, which depends on its key alone, its batches from the grid's seed, so that
it comes out the same whatever else is trained at the same time. CNNs do not share batches: fused
convolutions saved nothing in float32 and a fifth in bfloat16."""

from __future__ import annotations

import logging
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import torch
from tqdm import tqdm

from engram.cnn.architecture import Architecture
from engram.cnn.dataset import Dataset
from engram.cnn.epoch import Near
from engram.cnn.finished import from_piece, piece_keys, to_piece
from engram.cnn.key import CnnKey
from engram.cnn.probes import fit_probes
from engram.cnn.settings import CnnSettings
from engram.cnn.text_rivals import fit_text_rivals
from engram.cnn.training import TrainedCnn, train_cnn
from engram.io.devices import check_device
from engram.io.errors import EngramError
from engram.io.parts import Parts
from engram.io.workers import single_threaded_workers
from engram.taxonomy.sampling import SPLITS

log = logging.getLogger(__name__)

SELECTIONS = ("best_epoch", "all_epochs")


@dataclass(frozen=True)
class GridResult:
    """The trained grid of one taxonomy."""

    dataset: Dataset
    selection: str
    architectures: dict[CnnKey, Architecture]
    """Of the CNNs."""
    trained: dict[CnnKey, TrainedCnn] = field(default_factory=dict)
    """The CNNs, then the probes, then the rivals that see the text."""


def train_grid(
    dataset: Dataset,
    settings: CnnSettings,
    selection: str,
    parts: Path | None = None,
    code: str = "",
) -> GridResult:
    """Train every CNN of the grid, as many at a time as torch has threads; on a GPU one after the
    other, which keeps it as busy.

    Args:
        dataset: samples and attention of one taxonomy.
        settings: grid and training.
        selection: `best_epoch` predicts all splits with the epoch of the lowest validation loss
            (the first of equals); the test split is evaluated once, at that epoch. The loss is
            preferred to the accuracy because it separates epochs on a small validation split.
            `all_epochs` is the paper's way: it predicts the test split after every epoch and
            chooses nothing.
        parts: folder where finished CNNs are kept, so that a killed job resumes and another study
            finds what it shares.
        code: digest of the code that trains; another one finds none of what was kept.

    Raises:
        EngramError: a data set that cannot be trained on (see `Dataset.check`), or no CNN on real
            attention whose loss stayed finite.
    """
    if selection not in SELECTIONS:
        raise EngramError(f"selection {selection!r}: choose {' or '.join(SELECTIONS)}")
    check_device(settings.device, "cnn.device")
    dataset.check(SPLITS if selection == "best_epoch" else ("train", "test"))
    grid = settings.grid()
    result = GridResult(dataset, selection, grid)
    finished = Parts(parts) if parts else None
    pieces = piece_keys(dataset, settings, selection, code) if finished else {}
    for key, name in pieces.items():
        if finished and (piece := finished.read(name)):
            result.trained[key] = from_piece(piece)
    if result.trained:
        log.info("%d of %d CNNs were trained before", len(result.trained), len(grid))
    # Those that read the same maps in the same order follow each other, so that what one has read
    # from disk is there for the next.
    waiting = sorted(
        (key for key in grid if key not in result.trained),
        key=lambda key: (key.seed, key.input, grid[key].head_pooling),
    )
    stop = Event()
    workers = torch.get_num_threads() if settings.device == "cpu" else 1
    total = settings.epochs * len(grid)
    with (
        tqdm(
            total=total,
            initial=total - settings.epochs * len(waiting),
            desc="CNN epochs",
            unit="epoch",
            mininterval=2,
            delay=2,
        ) as progress,
        single_threaded_workers(workers) as pool,
    ):

        def after_epoch() -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            progress.update()

        near = Near(settings.device)
        jobs = {
            pool.submit(
                train_cnn, dataset, key, grid[key], settings, selection, after_epoch, near
            ): key
            for key in waiting
        }
        try:
            for job in as_completed(jobs):
                result.trained[jobs[job]] = trained = job.result()
                if trained.diverged:
                    log.warning(
                        "%s diverged: its loss is not finite; it reports nothing",
                        jobs[job].path,
                    )
                if finished:
                    finished.write(pieces[jobs[job]], to_piece(trained))
        except BaseException:
            stop.set()
            raise
    _check_divergence(result, settings)
    for baseline in settings.probes():
        result.trained.update(fit_probes(dataset, baseline, selection))
    result.trained.update(fit_text_rivals(dataset, selection, result.trained))
    return result


def _check_divergence(result: GridResult, settings: CnnSettings) -> None:
    main = [
        cnn
        for key, cnn in result.trained.items()
        if (key.input, key.labels) == ("attention", "real")
    ]
    if all(cnn.diverged for cnn in main):
        raise EngramError(
            f"all {len(main)} CNNs on attention diverged (a loss is not finite) at "
            f"cnn.learning_rate {settings.learning_rate:g}; lower it"
        )
