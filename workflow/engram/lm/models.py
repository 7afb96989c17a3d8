"""Language models: loading them, naming exactly which one was used, and running them over many
sequences.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm import tqdm
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from engram.io.devices import check_device
from engram.io.errors import EngramError, boundary
from engram.io.pointers import refuse_pointers
from engram.io.workers import in_order, single_threaded_workers
from engram.lm.checkpoint import TOKENIZERS, read_config
from engram.lm.finite import check_finite
from engram.lm.gguf import (
    check_gguf,
    dequantizing,
    file_digest,
    forget_quantization,
    is_gguf,
    located,
)
from engram.lm.inputs import begin_with, model_input, opening, read_opening

log = logging.getLogger(__name__)

Result = TypeVar("Result")

DTYPES = ("auto", "float32", "float16", "bfloat16")
PROCESSOR_ROWS = 64
"""Most sequences of a batch on a processor, where larger ones are no faster and the batches of all
workers are in memory together."""


def default_device() -> torch.device:
    """Return the first GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_model(
    path_or_repo: str | Path,
    revision: str | None = None,
    dtype: str = "auto",
    device: torch.device | str | None = None,
) -> PreTrainedModel:
    """Return a causal language model from safetensors weights, ready for inference; code from a
    checkpoint is never run.

    Where the folder records an opening (`engram.lm.inputs`), all that the model reads begins with
    it.

    Args:
        path_or_repo: a folder with `config.json` and `*.safetensors`, a GGUF file, or a repository
            on the Hugging Face hub.
        revision: branch, tag or commit on the hub; None is its main branch.
        dtype: `auto` keeps the checkpoint's precision; quantized weights of a GGUF file become
            float32.
        device: where to put it; None is `default_device()`.

    Raises:
        EngramError: no such file, folder or repository, no safetensors weights, a broken file,
            weights that the architecture needs and the checkpoint lacks, or a device that is not
            there.
    """
    if dtype not in DTYPES:
        raise EngramError(f"dtype {dtype!r} of model {path_or_repo}: choose {', '.join(DTYPES)}")
    chosen = check_device(device, "device") if device else default_device()
    _check_folder(path_or_repo)
    advice = "copy or download it again, or give another model"
    config = read_config(path_or_repo, revision)
    location, options = located(path_or_repo)
    options |= dequantizing() if options else {"use_safetensors": True}
    with boundary(f"model {path_or_repo}: cannot be loaded", advice):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            location,
            config=config,
            revision=revision or "main",
            dtype=dtype,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            **options,
        )
    model, report = loaded
    if is_gguf(path_or_repo):
        forget_quantization(model, path_or_repo)
    if other := sorted(report["mismatched_keys"], key=str):
        name, found, wanted = other[0]
        raise EngramError(
            f"model {path_or_repo}: tensor {name} has the shape {tuple(found)}, config.json asks "
            f"for {tuple(wanted)} (vocab_size {config.get_text_config().vocab_size}); take "
            f"config.json and weights from one checkpoint"
        )
    if missing := sorted(report["missing_keys"]):
        raise EngramError(
            f"model {path_or_repo}: the checkpoint lacks {len(missing)} of the model's tensors, "
            f"the first is {missing[0]}"
        )
    model = model.to(chosen).eval()
    if (tokens := read_opening(path_or_repo)) is not None:
        begin_with(model, tokens)
    return model


def load_tokenizer(
    path_or_repo: str | Path, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model.

    Raises:
        EngramError: there is none, or it cannot be read.
    """
    folder, file = Path(path_or_repo), f"tokenizer of {path_or_repo}"
    if folder.is_dir():
        present = [folder / name for name in TOKENIZERS if (folder / name).is_file()]
        if not present:
            raise EngramError(
                f"{file}: cannot be loaded, the folder has no {TOKENIZERS[0]}; save the model's "
                f"tokenizer there"
            )
        refuse_pointers(present)
        file = f"{file}: {present[0].name}"
    location, options = located(path_or_repo)
    with boundary(f"{file}: cannot be loaded", "copy or download it again, or update tokenizers"):
        return AutoTokenizer.from_pretrained(
            location, revision=revision or "main", trust_remote_code=False, **options
        )


def fingerprint(path_or_repo: str | Path, revision: str | None = None, dtype: str = "auto") -> str:
    """Identify weights and precision in 24 hexadecimal digits: equal fingerprints give the
    same attention.

    Of a folder it digests the weight files, `config.json` and a recorded opening that is not empty;
    of a GGUF file its content; of a hub repository the names of repository and revision, so name a
    commit or a tag there: a branch that moves keeps its fingerprint.

    Raises:
        EngramError: no such file or folder, or no weights in it.
    """
    sha = hashlib.sha256(f"dtype {dtype}\n".encode())
    _check_folder(path_or_repo)
    if (folder := Path(path_or_repo)).is_dir():
        for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
            with path.open("rb") as file:
                sha.update(
                    f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode()
                )
        if tokens := read_opening(folder):
            sha.update(f"opening {' '.join(map(str, tokens))}\n".encode())
    elif is_gguf(path_or_repo):
        sha.update(f"gguf {file_digest(path_or_repo)}\n".encode())
    else:
        sha.update(f"{path_or_repo}@{revision or 'main'}\n".encode())
    return sha.hexdigest()[:24]


def check_tokens(model: PreTrainedModel, tokens: np.ndarray, source: str) -> None:
    """Check that a model can read windows of tokens (n, T).

    Args:
        source: what the message calls them, a file or a config key.

    Raises:
        EngramError: a token outside the vocabulary, a window that with the model's opening is
            longer than the model's context, or windows most of which hold the opening already.
    """
    vocabulary = model.get_input_embeddings().num_embeddings
    outside = (tokens < 0) | (tokens >= vocabulary)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise EngramError(
            f"{source}: token {tokens[row, column]} in row {row} is outside the vocabulary of "
            f"{vocabulary} tokens; "
            "the tokens belong to another model's tokenizer"
        )
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    first = opening(model)
    if context is not None and len(first) + tokens.shape[1] > context:
        special = f" behind {len(first)} special" if first else ""
        raise EngramError(
            f"{source}: windows of {tokens.shape[1]} tokens{special} are longer than the model's "
            f"context of {context}"
        )
    twice = (tokens[:, : len(first)] == np.array(first)).all(1) if first else np.zeros(0, bool)
    if 2 * twice.sum() > len(tokens):
        raise EngramError(
            f"{source}: {twice.sum()} of {len(tokens)} windows begin with token {first[0]}, which "
            f"is put in front of every window anyway; leave it out of the windows, or set "
            f"`bos: false`"
        )


def suffix_logits(
    model: PreTrainedModel, tokens: torch.Tensor, first: int, **forward: Any
) -> tuple[torch.Tensor, Any]:
    """Return the logits under teacher forcing that predict the tokens from position `first` on, and
    the model's whole output.

    Every token is attended to (a mask of ones), positions count from 0, and the head is applied to
    these positions alone. What the model reads begins with its opening.

    Args:
        tokens: windows (b, T).
        first: 1 … T - 1.
        forward: further arguments of the model's forward.

    Returns:
        logits (b, T - first, V) in the model's precision, and the output object.
    """
    read = model_input(model, tokens)  # (b, B + T)
    start = read.shape[1] - tokens.shape[1] + first - 1
    positions = torch.arange(start, read.shape[1] - 1, device=tokens.device)  # (T - first,)
    output = model(
        input_ids=read,
        attention_mask=torch.ones_like(read),
        use_cache=False,
        **keep_logits(model, positions),
        **forward,
    )
    return (
        output.logits if output.logits.shape[1] == len(positions) else output.logits[:, positions]
    ), output


def keep_logits(
    model: PreTrainedModel, positions: int | torch.Tensor
) -> dict[str, int | torch.Tensor]:
    """Return the argument that makes a forward apply the head to these positions (or to the last
    few) alone, where the model has one.
    """
    return (
        {"logits_to_keep": positions}
        if "logits_to_keep" in inspect.signature(model.forward).parameters
        else {}
    )


def token_scores(
    model: PreTrainedModel, logits: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return per position, whether the target is the most likely token, and its log-probability in
    nats.

    Args:
        model: the model that put out the logits.
        logits: (b, S, V) in any precision.
        targets: (b, S).

    Returns:
        matches bool (b, S) and log-probabilities float32 (b, S).

    Raises:
        EngramError: a log-probability is not finite, as with every NaN among the logits.
    """
    flat, wanted = logits.flatten(0, 1), targets.flatten()  # (b·S, V), (b·S,)
    # In slices: a float32 copy of all logits can be larger than the model, and on a processor a
    # slice should fit its cache.
    slices = flat.split(8 if flat.device.type == "cpu" else 512)
    likeliest, normalizer = zip(
        *((part.max(-1).indices, part.float().logsumexp(-1)) for part in slices), strict=True
    )
    log_probabilities = flat.gather(1, wanted[:, None])[:, 0].float() - torch.cat(normalizer)
    check_finite(model, log_probabilities, "logits")
    return (torch.cat(likeliest) == wanted).view_as(targets), log_probabilities.view_as(targets)


def in_batches(
    run: Callable[[slice], Result],
    rows: int,
    batch_rows: int,
    label: str,
    device: torch.device,
    quiet: bool = False,
) -> Iterator[tuple[slice, Result]]:
    """Run `run` on consecutive slices of `rows` rows, and yield each slice with its result, in
    order; work of more than two seconds shows a progress bar, unless it is `quiet`.

    On a processor the slices hold at most `PROCESSOR_ROWS`, and as many are computed at a time as
    torch has threads, in one thread each: `run` is called in several threads. A slice's result does
    not depend on their number. When a GPU runs out of memory the batch is halved for good and the
    same rows are tried again.

    Raises:
        EngramError: a single row does not fit.
    """
    batches = (
        _on_processor(run, rows, min(batch_rows, PROCESSOR_ROWS))
        if device.type == "cpu"
        else _on_gpu(run, rows, batch_rows, label)
    )
    with tqdm(
        total=rows,
        desc=label,
        unit="sequence",
        mininterval=2,
        delay=2,
        disable=quiet or rows == 0,
    ) as progress:
        for part, result in batches:
            yield part, result
            progress.update(part.stop - part.start)


def _on_processor(
    run: Callable[[slice], Result], rows: int, batch_rows: int
) -> Iterator[tuple[slice, Result]]:
    """Do as `in_batches`, in worker threads."""
    parts = [slice(start, min(start + batch_rows, rows)) for start in range(0, rows, batch_rows)]
    workers = min(torch.get_num_threads(), len(parts))
    if workers < 2:
        # A single batch may use all threads.
        yield from ((part, run(part)) for part in parts)
        return
    with single_threaded_workers(workers) as pool:
        yield from in_order(pool, run, parts, 2 * workers)


def _on_gpu(
    run: Callable[[slice], Result], rows: int, batch_rows: int, label: str
) -> Iterator[tuple[slice, Result]]:
    """Do as `in_batches`, one batch after the other, as large as the memory allows."""
    start = 0
    while start < rows:
        part = slice(start, min(start + batch_rows, rows))
        try:
            result = run(part)
        except torch.OutOfMemoryError:
            result = None
        # Outside `except`, where the failed forward's tensors are no longer held by the traceback.
        if result is None:
            if part.stop - part.start == 1:
                raise EngramError(
                    f"{label}: the device has not enough memory for one sequence; use a larger one "
                    f"or a smaller model"
                )
            batch_rows = (part.stop - part.start) // 2
            log.warning("%s: out of device memory, going on with batches of %d", label, batch_rows)
            torch.cuda.empty_cache()
            continue
        yield part, result
        start = part.stop


def _check_folder(path_or_repo: str | Path) -> None:
    """Refuse a local path that holds no safetensors model; anything that cannot be a path passes as
    a repository.
    """
    if is_gguf(path_or_repo):
        check_gguf(path_or_repo)
        return
    folder = Path(path_or_repo)
    if not folder.exists():
        # A hub repository is `name` or `owner/name`.
        if (
            isinstance(path_or_repo, Path)
            or folder.is_absolute()
            or path_or_repo.startswith(".")
            or len(folder.parts) > 2
        ):
            raise EngramError(f"model {path_or_repo}: no such folder")
        return
    if not (folder / "config.json").is_file():
        raise EngramError(
            f"model {path_or_repo}: no config.json in it; give the folder that `save_pretrained` "
            f"wrote"
        )
    weights = sorted(folder.glob("*.safetensors"))
    refuse_pointers(weights)
    if not weights:
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        found = f"only pickled ones ({pickled[0]})" if pickled else "none"
        raise EngramError(
            f"model {path_or_repo}: safetensors weights are needed, found {found}; save the model "
            f"again with `save_pretrained`"
        )
