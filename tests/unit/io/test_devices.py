"""Devices that are not there are named in one line."""

import pytest
import torch

from engram.io.devices import check_device
from engram.io.errors import EngramError


def test_the_processor_is_always_there() -> None:
    assert check_device("cpu", "device") == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "module", "message"),
    [
        ("cuda", torch.cuda, "device: cuda, but this machine has no GPU that torch can use"),
        ("cuda:1", torch.cuda, "device: cuda:1, but this machine has no GPU"),
        ("mps", torch.backends.mps, "device: mps, but torch finds no Apple GPU"),
    ],
)
def test_an_accelerator_must_be_there(
    device: str, module: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_available", lambda: False)
    with pytest.raises(EngramError, match=message):
        check_device(device, "device")
    monkeypatch.setattr(module, "is_available", lambda: True)
    assert str(check_device(device, "device")) == device


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(EngramError, match="device: gpu; choose cpu, cuda or mps"):
        check_device("gpu", "device")
