"""One epoch of training a CNN: step by step on a processor, as a replayed CUDA graph on a GPU.

A batch of 16 samples is microseconds of work for a GPU and hundreds of small kernels, so that
launching them would take nearly all of the time. The kernels of a step are recorded once per CNN
and then launched as one.
"""

from __future__ import annotations

import math
from threading import Lock

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from engram.cnn.dataset import Dataset
from engram.cnn.network import AttentionCNN
from engram.cnn.settings import CnnSettings

Maps = np.ndarray | torch.Tensor
"""Packed maps of all samples, (n, channels, P); a tensor lies in the memory of the GPU."""

_WARM = 3
"""Steps before one is recorded: the first ones choose algorithms and make the optimizer's state."""


class Near:
    """Maps where CNNs are trained: on a CUDA GPU those last asked for stay in its memory, where
    they take less than half of what is free.

    Args:
        device: `cpu`, `cuda` or `mps`.
    """

    def __init__(self, device: str) -> None:
        self.device, self._lock = device, Lock()
        self._key: tuple[str, str] | None = None
        self._held: torch.Tensor | None = None

    def maps(self, dataset: Dataset, source: str, head_pooling: str) -> Maps:
        """Return the maps of an input, (n, channels, P), as `Dataset.maps` gives them."""
        if self.device != "cuda":  # an Apple GPU shares the processor's memory
            return dataset.maps(source, head_pooling)
        with self._lock:
            if self._key != (source, head_pooling) or self._held is None:
                self._held = None
                maps = dataset.maps(source, head_pooling)
                if maps.nbytes > torch.cuda.mem_get_info()[0] / 2:
                    return maps
                self._held, self._key = (
                    torch.from_numpy(np.ascontiguousarray(maps)).to(self.device),
                    (source, head_pooling),
                )
            return self._held


class Epoch:
    """The training of one CNN, an epoch at a time.

    Args:
        cnn: the CNN, on its device.
        maps: packed maps of all samples.
        label: class indices, int64 (n,).
        settings: of the training.
    """

    def __init__(
        self, cnn: AttentionCNN, maps: Maps, label: torch.Tensor, settings: CnnSettings
    ) -> None:
        self.cnn, self.maps, self.settings = cnn, maps, settings
        self.label = label.to(settings.device)
        on_gpu = settings.device == "cuda"
        self.optimizer = torch.optim.AdamW(
            cnn.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
            capturable=on_gpu,
        )
        # Sums stay on the device: to look at one would make the processor wait for the GPU at every
        # step.
        # An Apple GPU has no float64.
        precise = torch.float32 if settings.device == "mps" else torch.float64
        self.total = torch.zeros((), dtype=precise, device=settings.device)
        self.hits = torch.zeros((), dtype=torch.int64, device=settings.device)
        self.recording = _Recording(self) if on_gpu and isinstance(maps, torch.Tensor) else None

    def over(self, order: np.ndarray) -> dict[str, float]:
        """Return one pass over the training samples in the given order: mean loss and accuracy; NaN
        if a loss was not finite.
        """
        self.cnn.train()
        self.total.zero_()
        self.hits.zero_()
        size = self.settings.batch_size
        # On a GPU the whole order is sent once.
        rows: Maps = (
            order
            if isinstance(self.maps, np.ndarray)
            else torch.from_numpy(order).to(self.maps.device)
        )
        for start in range(0, len(order), size):
            batch = rows[start : start + size]
            if self.recording and isinstance(batch, torch.Tensor) and len(batch) == size:
                self.recording.step(batch)
            else:
                self.step(batch)
        total = self.total.item()
        if not math.isfinite(total):
            return {"loss": math.nan, "accuracy": math.nan}
        return {"loss": total / len(order), "accuracy": self.hits.item() / len(order)}

    def step(self, rows: Maps) -> None:
        """One step on a batch."""
        settings = self.settings
        x, y = (
            batch_of(self.maps, rows, settings.device),
            self.label[rows],
        )  # (b, channels, P), (b,)
        # A recorded step must not reuse the weights that an earlier one rounded.
        with torch.autocast(
            x.device.type,
            torch.bfloat16,
            enabled=settings.precision == "bfloat16",
            cache_enabled=self.recording is None,
        ):
            logits = self.cnn.classify_packed(x).float()  # (b, K)
        loss = cross_entropy(logits, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.total += loss.detach().to(self.total.dtype) * len(rows)
        self.hits += (logits.argmax(1) == y).sum()


class _Recording:
    """Steps on full batches, replayed from a recording once some have run."""

    def __init__(self, epoch: Epoch) -> None:
        self.epoch, self.steps = epoch, 0
        self.rows = torch.zeros(
            epoch.settings.batch_size, dtype=torch.int64, device=epoch.settings.device
        )
        self.graph: torch.cuda.CUDAGraph | None = None

    def step(self, rows: torch.Tensor) -> None:
        self.rows.copy_(rows)
        if self.graph is None and self.steps == _WARM:
            self.graph = self._record()
        self.steps += 1
        if self.graph is None:
            self.epoch.step(self.rows)
        else:
            self.graph.replay()

    def _record(self) -> torch.cuda.CUDAGraph:
        """Record a step without running it."""
        graph = torch.cuda.CUDAGraph()
        generator = self.epoch.cnn.dropout.generator
        if generator is not None:  # each replay draws dropout's next numbers
            graph.register_generator_state(generator)
        self.epoch.optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            self.epoch.step(self.rows)
        return graph


def batch_of(maps: Maps, rows: Maps, device: torch.device | str) -> torch.Tensor:
    """Return the packed maps of some samples, (b, channels, P)."""
    if isinstance(maps, torch.Tensor):
        return maps.index_select(0, torch.as_tensor(rows, device=maps.device))
    return torch.from_numpy(maps[rows]).to(device)
