"""The one check of what a language model puts out: attention, logits, hidden states."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from engram.io.errors import EngramError


def check_finite(model: PreTrainedModel, values: torch.Tensor, what: str) -> None:
    """Refuse values that are NaN or infinite: nothing may be counted, written or compared then.

    Args:
        model: the model that put them out.
        values: numbers of any shape, or bool: whether each is finite.
        what: what the message calls them, in the plural.

    Raises:
        EngramError: a value is not finite; names the model, the precision and the remedy.
    """
    finite = values if values.dtype == torch.bool else torch.isfinite(values)
    if finite.all():
        return
    dtype = str(model.dtype).removeprefix("torch.")
    name = f"{type(model).__name__} {model.name_or_path}".strip()
    remedy = {
        "float16": "set the model's `dtype` to bfloat16 or float32; numbers beyond 65,504 do not "
        "fit into float16",
        "bfloat16": "set the model's `dtype` to float32",
    }.get(dtype, "the weights themselves are damaged; copy or download the checkpoint again")
    raise EngramError(
        f"model {name}: its {what} in {dtype} contain values that are NaN or infinite; {remedy}"
    )
