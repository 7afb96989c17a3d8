"""Trains language models: resumable after a kill, the same bytes for the same seed, number of
replicas and kind of machine.

On a processor every batch is divided among replicas, each of which computes the gradient of its
rows in one thread; they are added in the order of the rows. The replicas meet once a step, so that
a busy machine slows each of them and does not make them wait for one another in every operation.
"""

from __future__ import annotations

import csv
import logging
import math
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engram.io.errors import EngramError
from engram.io.hashing import content_digest
from engram.io.parts import Parts, Piece
from engram.io.workers import in_order, single_threaded_workers
from engram.lm.inputs import model_input, opening
from engram.nursery.settings import DrillingTraining, TrainingSettings
from engram.nursery.trainable import (
    chosen_weights,
    recomputed_activations,
    trained_parameters,
    without_dropout,
)

log = logging.getLogger(__name__)

Watch = Callable[[PreTrainedModel, int], None]
"""What looks at a model while it is trained: the model, and the steps that it has made."""


def resolve_precision(precision: str) -> str:
    """Return the precision to train in: `auto` becomes `bfloat16` on processors that multiply it
    natively (AMX or AVX512-BF16), else `float32`.
    """
    if precision == "auto":
        native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        return "bfloat16" if native else "float32"
    return precision


def train(
    model: PreTrainedModel,
    rows: np.ndarray,
    settings: TrainingSettings,
    state: Path,
    label: str,
    watch: Watch | None = None,
    stop: int | None = None,
) -> list[dict]:
    """Train `model` in place on every row once, in the given order. What it reads begins with its
    opening (`engram.lm.inputs`).

    Args:
        model: the model to train, on its device.
        rows: tokens, (n, T) of an unsigned integer type; the last incomplete batch is dropped.
        settings: optimizer and schedule.
        state: folder of resumable states (`engram.io.parts`); the one of this run is resumed, and
            none is deleted here. The last state of a run is its end: nothing is trained again.
        label: text before the progress bar.
        watch: called with the model, in evaluation mode, and the number of steps that it has made:
            0, and before every state is saved. It must leave the model as it is. A run that is
            resumed is not watched again before the state that it resumes from.
        stop: the step after which training ends, the same weights that it has there on the way to
            the end; None for all. A run goes on from the state of one that stopped earlier.

    Returns:
        the loss curve: one dict per logged step with `step`, `tokens` (seen), `loss` (nats per
        token, the mean since the last entry), `learning_rate`.

    Raises:
        EngramError: the rows do not fill one batch, so that nothing would be trained, or they give
            fewer steps than `stop`.
    """
    if not isinstance(settings, DrillingTraining):
        return _train(model, rows, settings, state, label, watch, stop)
    without_dropout(model)
    with (
        chosen_weights(model, settings.trainable),
        recomputed_activations(model, settings.gradient_checkpointing),
    ):
        return _train(model, rows, settings, state, label, watch, stop)


def _train(
    model: PreTrainedModel,
    rows: np.ndarray,
    settings: TrainingSettings,
    state: Path,
    label: str,
    watch: Watch | None,
    stop: int | None,
) -> list[dict]:
    """Do as `train` with the weights that take gradients."""
    precision = resolve_precision(settings.precision)
    device = next(model.parameters()).device
    chosen = trained_parameters(model)
    optimizer = torch.optim.AdamW(
        chosen.values(),
        lr=settings.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    steps = len(rows) // settings.batch_size
    if not steps:
        raise EngramError(
            f"{label}: {len(rows):,} training rows do not fill a batch of {settings.batch_size:,}; "
            f"lower training.batch_size"
        )
    last = steps if stop is None else stop
    if last > steps:
        raise EngramError(f"{label}: models[].step: {last:,}; the training has {steps:,} steps")

    def logged(step: int, loss: float) -> dict:
        rate = settings.rate(step - 1, steps)
        tokens = step * settings.batch_size * rows.shape[1]
        return {"step": step, "tokens": tokens, "loss": loss, "learning_rate": rate}

    run = _run_key(model, rows, settings, precision)
    first, curve, total, count = _restore(model, optimizer, state, run, last)
    if watch and not first:
        model.eval()
        watch(model, 0)
    model.train()
    with (
        tqdm(total=last, initial=first, desc=label, unit="step", mininterval=5) as progress,
        Replicas(model, settings.workers, precision) as replicas,
    ):
        for step in range(first, last):
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(step, steps)
            batch = rows[step * settings.batch_size : (step + 1) * settings.batch_size]
            loss = replicas.gradients(torch.from_numpy(batch.astype(np.int64)).to(device))
            if not math.isfinite(loss):
                raise EngramError(
                    f"{label}: the loss at step {step + 1} is {loss}; lower "
                    f"training.learning_rate, or check the weights that training starts from"
                )
            torch.nn.utils.clip_grad_norm_(chosen.values(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            total, count = total + loss, count + 1
            progress.update()
            if (step + 1) % settings.log_steps == 0:
                curve.append(logged(step + 1, total / count))
                progress.set_postfix(loss=f"{curve[-1]['loss']:.3f}")
                total, count = 0.0, 0
            # The last step too: another study that asks for the same training gets it at once.
            if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == last:
                if watch:
                    model.eval()
                    watch(model, step + 1)
                    model.train()
                progress_so_far = {"step": step + 1, "curve": curve, "total": total, "count": count}
                _save(model, optimizer, state, progress_so_far, run)
    return [*curve, logged(last, total / count)] if count else curve


class Replicas:
    """Threads that share a model and the rows of every batch.

    Args:
        model: the model; on a GPU it computes whole batches, in the calling thread.
        count: threads on a processor.
        precision: `float32`, or `bfloat16` for autocast.
    """

    def __init__(self, model: PreTrainedModel, count: int, precision: str) -> None:
        self.model, self.precision = model, precision
        self.device = next(model.parameters()).device
        self.count = count if self.device.type == "cpu" else 1
        self._open = ExitStack()

    def __enter__(self) -> Replicas:
        """Open the threads; until they are closed, torch computes with one thread in all."""
        if self.device.type == "cpu":
            self._pool = self._open.enter_context(single_threaded_workers(self.count))
        return self

    def __exit__(self, *error: object) -> None:
        """Close the threads."""
        self._open.close()

    def gradients(self, tokens: torch.Tensor) -> float:
        """Set the `grad` of every parameter that takes gradients to that of a batch's loss.

        The parts of the batch are those of `torch.tensor_split`, and their gradients are added one
        after another, so that the sum depends on the number of replicas and on nothing else of the
        machine's load.

        Args:
            tokens: (b, T), on the model's device.

        Returns:
            the loss, nats per predicted token, the mean over the whole batch. The first token of a
            row is predicted where the model has an opening.
        """
        first = max(1, len(opening(self.model)))
        tokens = model_input(self.model, tokens)
        targets = tokens.shape[0] * (tokens.shape[1] - first)
        parameters = list(trained_parameters(self.model).values())

        def run(part: torch.Tensor) -> tuple[float, tuple[torch.Tensor, ...]]:
            # The cache is shared by all threads, and no weight is cast twice in one forward.
            with torch.autocast(
                self.device.type,
                torch.bfloat16,
                enabled=self.precision == "bfloat16",
                cache_enabled=False,
            ):
                logits = self.model(part, use_cache=False).logits  # (part of b, T, V)
            loss = torch.nn.functional.cross_entropy(
                logits[:, first - 1 : -1].flatten(0, 1).float(),
                part[:, first:].flatten(),
                reduction="sum",
            )
            return loss.item(), torch.autograd.grad(loss / targets, parameters)

        parts = [part for part in tokens.tensor_split(self.count) if len(part)]
        if self.device.type == "cpu":
            results = [found for _, found in in_order(self._pool, run, parts, len(parts) + 1)]
        else:
            results = [run(part) for part in parts]
        sums = list(results[0][1])
        for _, gradients in results[1:]:
            torch._foreach_add_(sums, gradients)
        for parameter, gradient in zip(parameters, sums, strict=True):
            # The fused optimizer reads the memory of both side by side.
            parameter.grad = gradient.contiguous()
        return sum(loss for loss, _ in results) / targets


def save_trained(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, output: Path) -> None:
    """Write model (safetensors) and tokenizer as transformers reads them; the weights come last,
    whole or not at all.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as folder:
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json", "config.json", "model.safetensors"):
            (Path(folder) / name).chmod(0o644)
            (Path(folder) / name).replace(output / name)


def write_curve(curve: list[dict], path: Path) -> None:
    """Write the loss curve as CSV: step, tokens, loss, learning_rate."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(
            file, ["step", "tokens", "loss", "learning_rate"], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(curve)


def _run_key(
    model: PreTrainedModel, rows: np.ndarray, settings: TrainingSettings, precision: str
) -> str:
    """Return the key of a run: a state of another initial model, data or settings must not be
    resumed.
    """
    parameters = [
        part
        for name, parameter in model.named_parameters()
        for part in (name, parameter.detach().cpu().numpy())
    ]
    return content_digest(
        f"{settings} {precision} {torch.__version__}",
        rows,
        model.config.to_json_string(),
        *parameters,
    )


def _save(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    state: Path,
    progress: dict[str, Any],
    run: str,
) -> None:
    """Keep parameters, moments and progress in the place of the run's last state."""
    arrays: dict[str, np.ndarray] = {}
    for name, parameter in trained_parameters(model).items():
        moments = optimizer.state[parameter]
        for part, tensor in (
            ("value", parameter.detach()),
            ("mean", moments["exp_avg"]),
            ("square", moments["exp_avg_sq"]),
        ):
            arrays[f"{name}/{part}"] = tensor.cpu().numpy()
    Parts(state).write(run, Piece(arrays, progress))


def _restore(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, state: Path, run: str, last: int
) -> tuple[int, list[dict], float, int]:
    """Load the state of this run where there is one that is not beyond the last step.

    Returns:
        the step to resume with, the curve so far, and the sum and number of the losses since its
        last entry.
    """
    piece = Parts(state).read(run)
    if piece is None or piece.metadata["step"] > last:
        return 0, [], 0.0, 0
    progress = piece.metadata
    step = progress["step"]
    for name, parameter in trained_parameters(model).items():
        value, mean, square = (
            torch.from_numpy(piece.arrays[f"{name}/{part}"]).to(parameter.device)
            for part in ("value", "mean", "square")
        )
        parameter.data.copy_(value)
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step), device=parameter.device),
            "exp_avg": mean,
            "exp_avg_sq": square,
        }
    log.info("resumed the run %s in %s after step %d", run, state, step)
    return step, progress["curve"], progress["total"], progress["count"]
