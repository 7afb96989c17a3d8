"""The twin with permuted weights."""

from pathlib import Path

import torch
from tiny_models import gpt_neox

from engram.lm.models import fingerprint, load_model
from engram.lm.random_weights import write_random_twin


def test_twin_has_every_tensors_values_in_another_order_the_same_each_time(tmp_path: Path) -> None:
    model = gpt_neox()
    model.save_pretrained(tmp_path / "model")
    for name in ("a", "b"):
        write_random_twin(tmp_path / "model", "float32", 1, tmp_path / name)
    twin = dict(load_model(tmp_path / "a", device="cpu").named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            twin[name].flatten().sort().values, parameter.flatten().sort().values, rtol=0, atol=0
        )
        assert parameter.ndim < 2 or not torch.equal(twin[name], parameter)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    write_random_twin(tmp_path / "model", "float32", 2, tmp_path / "b")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")
