"""Models: loading with clear refusals, identity, and batches that survive a full GPU."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, current_thread

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import CONTEXT, VOCABULARY, gpt_neox, random_tokens

from engram.io.errors import EngramError
from engram.lm.models import (
    check_tokens,
    fingerprint,
    in_batches,
    load_model,
    suffix_logits,
    token_scores,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    gpt_neox().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def test_loaded_model_is_the_saved_one_in_evaluation_mode(saved: Path) -> None:
    model = load_model(saved, device="cpu")
    assert not model.training
    for name, parameter in gpt_neox().state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], parameter, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dtype_is_the_one_asked_for(saved: Path, dtype: str) -> None:
    assert load_model(saved, dtype=dtype, device="cpu").dtype == getattr(torch, dtype)


def test_auto_keeps_the_precision_of_the_checkpoint(tmp_path: Path) -> None:
    gpt_neox().half().save_pretrained(tmp_path / "half")
    assert load_model(tmp_path / "half", device="cpu").dtype == torch.float16


def test_unknown_dtype_is_refused(saved: Path) -> None:
    with pytest.raises(EngramError, match=r"'float8'.*choose auto, float32"):
        load_model(saved, dtype="float8")


@pytest.mark.parametrize("use", [load_model, fingerprint])
def test_missing_folder_is_refused(tmp_path: Path, use) -> None:
    with pytest.raises(EngramError, match="no such folder"):
        use(tmp_path / "nowhere")


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"no config\.json"):
        load_model(tmp_path)


def test_pickled_weights_are_refused(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(EngramError, match=r"only pickled ones \(pytorch_model\.bin\)"):
        load_model(folder)


def test_truncated_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EngramError, match="cannot be loaded"):
        load_model(folder)


def test_checkpoint_without_a_tensor_is_refused(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["gpt_neox.layers.1.attention.dense.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        EngramError,
        match=r"lacks 1 of the model's tensors, the first is "
        r"gpt_neox\.layers\.1\.attention\.dense\.weight",
    ):
        load_model(folder)


def test_fingerprint_follows_the_weights_and_the_precision(saved: Path, folder: Path) -> None:
    assert fingerprint(folder) == fingerprint(saved)
    assert fingerprint(folder, dtype="float16") != fingerprint(saved)
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert fingerprint(folder) != fingerprint(saved)


def test_fingerprint_of_a_repository_follows_its_revision() -> None:
    assert fingerprint("owner/name", "step1") != fingerprint("owner/name", "step2")
    assert fingerprint("owner/name", None) == fingerprint("owner/name", "main")


@pytest.mark.parametrize("token", [-1, VOCABULARY])
def test_tokens_outside_the_vocabulary_are_refused(token: int) -> None:
    tokens = random_tokens(3, 8)
    tokens[2, 5] = token
    with pytest.raises(
        EngramError,
        match=f"windows.parquet: token {token} in row 2 is outside the vocabulary of {VOCABULARY}",
    ):
        check_tokens(gpt_neox(), tokens, "windows.parquet")


def test_windows_longer_than_the_context_are_refused() -> None:
    check_tokens(gpt_neox(), random_tokens(1, CONTEXT), "windows.parquet")
    with pytest.raises(
        EngramError, match=f"{CONTEXT + 1} tokens are longer than the model's context of {CONTEXT}"
    ):
        check_tokens(gpt_neox(), random_tokens(1, CONTEXT + 1), "windows.parquet")


@torch.no_grad()
def test_suffix_logits_are_those_of_the_whole_forward() -> None:
    model, tokens = gpt_neox(), torch.from_numpy(random_tokens(3, 12))
    logits, _ = suffix_logits(model, tokens, 5)
    torch.testing.assert_close(logits, model(tokens).logits[:, 4:-1])


@torch.no_grad()
def test_head_is_applied_to_the_positions_that_predict_the_suffix_only() -> None:
    model, shapes = gpt_neox(), []
    model.lm_head.register_forward_hook(
        lambda module, inputs, output: shapes.append(tuple(output.shape))
    )
    suffix_logits(model, torch.from_numpy(random_tokens(3, 12)), 5)
    assert shapes == [(3, 7, VOCABULARY)]


def test_token_scores_are_log_softmax_and_argmax() -> None:
    logits, targets = torch.randn(600, 2, 5), torch.randint(5, (600, 2))  # more rows than one slice
    matches, log_probabilities = token_scores(gpt_neox(), logits, targets)
    torch.testing.assert_close(
        log_probabilities, logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    )
    assert torch.equal(matches, logits.argmax(-1) == targets)


CPU, GPU = torch.device("cpu"), torch.device("cuda")
"""Where batches run decides how; no tensor is put there."""


def test_batches_cover_all_rows_in_order() -> None:
    parts = [part for part, _ in in_batches(lambda part: part, 10, 4, "rows", CPU)]
    assert [(part.start, part.stop) for part in parts] == [(0, 4), (4, 8), (8, 10)]


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of torch's threads until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_a_processor_works_on_several_batches_in_one_thread_each(
    threads: Callable[[int], None],
) -> None:
    threads(3)
    met = Barrier(3, timeout=20)  # breaks unless three batches are under way together

    def run(part: slice) -> tuple[str, int]:
        met.wait()
        time.sleep(0.05 if part.start == 0 else 0)  # the first is not the first to be done
        return current_thread().name, torch.get_num_threads()

    found = list(in_batches(run, 6, 1, "rows", CPU))
    assert [part.start for part, _ in found] == list(range(6))
    assert {of_each for _, (_, of_each) in found} == {1}
    assert len({name for _, (name, _) in found}) == 3
    assert torch.get_num_threads() == 3


def test_batches_on_a_processor_are_no_larger_than_is_fast(threads: Callable[[int], None]) -> None:
    threads(2)
    parts = [part for part, _ in in_batches(lambda part: part, 200, 1000, "rows", CPU)]
    assert [part.stop for part in parts] == [64, 128, 192, 200]


def test_few_batches_are_finished_ahead(threads: Callable[[int], None]) -> None:
    """So that results that nobody has taken yet do not fill the memory."""
    threads(2)
    begun = []
    batches = in_batches(lambda part: begun.append(part.start), 20, 1, "rows", CPU)
    next(batches)
    time.sleep(0.2)
    assert len(begun) <= 4
    batches.close()
    assert torch.get_num_threads() == 2


def test_an_error_in_one_batch_ends_all(threads: Callable[[int], None]) -> None:
    threads(2)

    def run(part: slice) -> int:
        if part.start == 3:
            raise EngramError("a broken batch")
        return part.start

    with pytest.raises(EngramError, match="a broken batch"):
        list(in_batches(run, 40, 1, "rows", CPU))
    assert torch.get_num_threads() == 2


def test_batch_is_halved_when_memory_runs_out() -> None:
    tried = []

    def run(part: slice) -> np.ndarray:
        tried.append(part.stop - part.start)
        if tried[-1] > 3:
            raise torch.OutOfMemoryError
        return np.arange(part.start, part.stop)

    np.testing.assert_array_equal(
        np.concatenate([rows for _, rows in in_batches(run, 8, 8, "rows", GPU)]), np.arange(8)
    )
    assert tried == [8, 4, 2, 2, 2, 2]


def test_single_row_that_does_not_fit_is_an_error() -> None:
    def run(part: slice) -> None:
        raise torch.OutOfMemoryError

    with pytest.raises(EngramError, match="not enough memory for one sequence"):
        list(in_batches(run, 2, 2, "attention", GPU))
