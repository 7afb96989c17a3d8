"""Trains the nursery's models: resumable after a kill, the same bytes for the same seed and
machine.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from engram.io.errors import EngramError
from engram.io.tensors import read_tensors, write_tensors
from engram.nursery.settings import TrainingSettings

log = logging.getLogger(__name__)


def resolve_precision(precision: str) -> str:
    """`auto` becomes `bfloat16` on processors with matrix units for it (AMX), else `float32`."""
    if precision == "auto":
        return "bfloat16" if torch.cpu._is_amx_tile_supported() else "float32"
    return precision


def train(
    model: GPTNeoXForCausalLM, rows: np.ndarray, settings: TrainingSettings, state: Path, label: str
) -> list[dict]:
    """Trains `model` in place on every row once, in the given order.

    Args:
        model: the model to train, on its device.
        rows: tokens, (n, T) of an unsigned integer type; the last incomplete batch is dropped.
        settings: optimizer and schedule.
        state: folder of the resumable state; it is read where it holds a state of the same run, and
            never deleted here. A finished run's state is its end: nothing is trained again.
        label: text before the progress bar.

    Returns:
        the loss curve: one dict per logged step with `step`, `tokens` (seen), `loss` (nats per
        token, the mean since the last entry), `learning_rate`.

    Raises:
        EngramError: the rows do not fill one batch, so that nothing would be trained.
    """
    precision = resolve_precision(settings.precision)
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=settings.weight_decay,
    )
    steps = len(rows) // settings.batch_size
    if not steps:
        raise EngramError(
            f"{label}: {len(rows):,} training rows do not fill a batch of {settings.batch_size:,}; "
            f"lower training.batch_size"
        )
    fingerprint = _fingerprint(model, rows, settings, precision)
    first, curve, total, count = _restore(model, optimizer, state, fingerprint)
    model.train()
    with tqdm(total=steps, initial=first, desc=label, unit="step", mininterval=5) as progress:
        for step in range(first, steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(step, steps)
            batch = rows[step * settings.batch_size : (step + 1) * settings.batch_size]
            tokens = torch.from_numpy(batch.astype(np.int64)).to(device)  # (batch, T)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                logits = model(tokens, use_cache=False).logits  # (batch, T, V)
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten()
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            total, count = total + loss.item(), count + 1
            progress.update()
            if (step + 1) % settings.log_steps == 0 or step + 1 == steps:
                entry = {
                    "step": step + 1,
                    "tokens": (step + 1) * batch.size,
                    "loss": total / count,
                    "learning_rate": settings.rate(step, steps),
                }
                curve.append(entry)
                progress.set_postfix(loss=f"{entry['loss']:.3f}")
                total, count = 0.0, 0
            # The last step too: who asks for a finished training, such as another study, gets it at
            # once.
            if (step + 1) % settings.checkpoint_steps == 0 or step + 1 == steps:
                progress_so_far = {"step": step + 1, "curve": curve, "total": total, "count": count}
                _save(model, optimizer, state, progress_so_far, fingerprint)
    return curve


def save_trained(
    model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, output: Path
) -> None:
    """Writes model (safetensors) and tokenizer as transformers reads them; the weights come last,
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
    """Writes the loss curve as CSV: step, tokens, loss, learning_rate."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(
            file, ["step", "tokens", "loss", "learning_rate"], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(curve)


def _fingerprint(
    model: GPTNeoXForCausalLM, rows: np.ndarray, settings: TrainingSettings, precision: str
) -> str:
    """Identifies a run: a state of another initial model, data or settings must not be resumed."""
    sha = hashlib.sha256(
        f"{settings} {precision} {torch.__version__} {rows.shape} {rows.dtype}".encode()
    )
    sha.update(np.ascontiguousarray(rows).tobytes())
    sha.update(model.config.to_json_string().encode())
    for name, parameter in model.named_parameters():
        sha.update(
            name.encode()
            + parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return sha.hexdigest()


def _save(
    model: GPTNeoXForCausalLM,
    optimizer: torch.optim.Optimizer,
    state: Path,
    progress: dict[str, Any],
    fingerprint: str,
) -> None:
    """Writes parameters, moments and progress beside the old state and then replaces it: one file,
    whole or not at all.
    """
    state.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        moments = optimizer.state[parameter]
        tensors |= {
            f"{name}/value": parameter.detach(),
            f"{name}/mean": moments["exp_avg"],
            f"{name}/square": moments["exp_avg_sq"],
        }
    metadata = {"fingerprint": fingerprint, "progress": json.dumps(progress)}
    write_tensors(tensors, state / "state.safetensors", metadata)


def _restore(
    model: GPTNeoXForCausalLM, optimizer: torch.optim.Optimizer, state: Path, fingerprint: str
) -> tuple[int, list[dict], float, int]:
    """Loads the state where it belongs to this run.

    Returns:
        the step to go on with, the curve so far, and the sum and number of the losses since its
        last entry.
    """
    path = state / "state.safetensors"
    if not path.exists():
        return 0, [], 0.0, 0
    try:
        tensors, metadata = read_tensors(path)
    except EngramError as error:
        log.warning("%s: starting anew", error)
        return 0, [], 0.0, 0
    if metadata.get("fingerprint") != fingerprint:
        log.info(
            "%s belongs to a run of another model, other data or settings: starting anew", path
        )
        return 0, [], 0.0, 0
    progress = json.loads(metadata["progress"])
    step = progress["step"]
    for name, parameter in model.named_parameters():
        parameter.data.copy_(tensors[f"{name}/value"])
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step)),
            "exp_avg": tensors[f"{name}/mean"].to(parameter.device),
            "exp_avg_sq": tensors[f"{name}/square"].to(parameter.device),
        }
    log.info("resumed %s after step %d", path, step)
    return step, progress["curve"], progress["total"], progress["count"]
