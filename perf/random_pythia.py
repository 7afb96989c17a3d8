"""A Pythia of random weights: speed does not depend on them."""

from __future__ import annotations

import torch
from transformers import GPTNeoXForCausalLM

from engram.lm.models import default_device
from engram.run.plan import pythia_config


def random_pythia(shape: str, dtype: torch.dtype) -> GPTNeoXForCausalLM:
    """Return the model, on the device that studies use.

    Args:
        shape: one of `engram.run.plan.PYTHIA`.
        dtype: of its weights.
    """
    config = pythia_config(f"EleutherAI/pythia-{shape}")
    assert config is not None
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with default_device():
            return GPTNeoXForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
