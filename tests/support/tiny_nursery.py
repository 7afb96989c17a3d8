"""A text and a model of a few thousand parameters."""

import torch
from transformers import GPTNeoXForCausalLM

from engram.nursery.base import build_model
from engram.nursery.settings import BaseSettings

TEXT = """
The owl and the pussycat went to sea in a beautiful pea green boat; they took some honey and plenty of money wrapped up in a
five pound note. The owl looked up to the stars above and sang to a small guitar, what a beautiful pussy you are, you are.
def measure(boat, honey, money, number=7):
    for note in honey:
        if note > money and not number == 42:
            return {"note": note, "boat": boat, "stars": [1, 2, 3, number]}
    raise ValueError("no money, no honey")
They sailed away for a year and a day to the land where the bong tree grows, and there in a wood a piggywig stood with a ring at
the end of his nose. They dined on mince and slices of quince, which they ate with a runcible spoon, and hand in hand on the edge
of the sand they danced by the light of the moon.
"""


def tiny_model(seed: int = 0, vocabulary: int = 64) -> GPTNeoXForCausalLM:
    """A GPT-NeoX of one layer with rows of up to 32 tokens."""
    torch.set_num_threads(1)
    settings = BaseSettings(layers=1, width=16, heads=2, text={"row_tokens": 32})
    # Fewer tokens than a config may ask for.
    return build_model(settings.model_copy(update={"vocabulary": vocabulary}), seed)
