"""Compression: lengths are those of decoding from each context; bisection is checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_mechanisms import SIX, slow_lengths
from tiny_models import VOCABULARY, gpt_neox, random_tokens
from transformers import PreTrainedModel

from engram.io.errors import EngramError
from engram.lm.generation import greedy_continuations
from engram.lm.inputs import begin_with
from engram.mechanisms.compression import KEEP, compress

PREFIX, SUFFIX = 8, 3


def mixed(model: PreTrainedModel, rows: int = 5) -> np.ndarray:
    """Windows of which the model writes all but the last: after the whole context, after its last
    tokens, after its first ones, and from its first ones on through the whole context.
    """
    tokens = random_tokens(rows, PREFIX + SUFFIX)
    for row, length in enumerate((PREFIX, 3, 2, 2)):
        window = tokens[row : row + 1]
        if row == 3:
            rest = PREFIX + SUFFIX - length
            window[:, length:] = greedy_continuations(model, window[:, :length], rest)
            continue
        context = window[:, :length] if row == 2 else window[:, PREFIX - length : PREFIX]
        window[:, PREFIX:] = greedy_continuations(model, context, SUFFIX)
    return tokens


@pytest.mark.parametrize("architecture", SIX)
def test_a_scan_equals_decoding_from_every_context(architecture: str) -> None:
    model = SIX[architecture]()
    tokens = mixed(model)
    for keep in KEEP:
        result = compress(model, tokens, PREFIX, keep, scan=True, batch_tokens=30)
        given = slow_lengths(model, tokens, PREFIX, keep)
        for row, of_text in enumerate(given):
            if not of_text[-1]:
                assert np.isnan(result.fewest[row]) and np.isnan(result.monotone[row])
                assert np.isnan(result.bisected[row])
                continue
            np.testing.assert_array_equal(result.gives[row], of_text)
            assert result.fewest[row] == of_text.argmax() + 1
            assert result.monotone[row] == (np.diff(of_text.astype(int)) >= 0).all()
            assert result.tried[row] == PREFIX
            shorter = int(result.bisected[row]) - 1
            assert of_text[shorter] and (shorter == 0 or not of_text[shorter - 1])
        assert given[0, -1] and result.fewest[0] <= PREFIX
    onset = compress(model, tokens, PREFIX, "onset")
    assert onset.fewest[3] <= 2 and onset.monotone[3] == 1


class Lengths(torch.nn.Module):
    """Answers with the suffix of zeros if the context has one of some lengths, else with ones."""

    def __init__(self, good: set[int]) -> None:
        super().__init__()
        self.good, self.calls = good, 0
        self.device, self.dtype, self.name_or_path = torch.device("cpu"), torch.float32, "planted"

    def forward(self, input_ids: torch.Tensor, **_: object) -> object:
        self.calls += len(input_ids)
        answer = 0 if input_ids.shape[1] - SUFFIX in self.good else 1
        logits = torch.zeros(*input_ids.shape, VOCABULARY)
        logits[..., answer] = 1
        return type("Output", (), {"logits": logits})


def planted(good: set[int], prefix: int = 32, **options: object) -> object:
    model = Lengths(good)
    tokens = np.concatenate([np.full((1, prefix), 7), np.zeros((1, SUFFIX), int)], 1)
    return compress(model, tokens, prefix, **options), model.calls  # type: ignore[arg-type]


@pytest.mark.parametrize("fewest", [1, 2, 9, 16, 31, 32])
def test_bisection_finds_the_fewest_where_longer_contexts_never_hurt(fewest: int) -> None:
    result, calls = planted({*range(fewest, 33)}, probes=0)
    assert result.bisected == result.fewest == fewest and result.monotone == 1
    assert calls == result.tried <= 6
    scanned, calls = planted({*range(fewest, 33)}, scan=True)
    assert scanned.fewest == fewest and calls == scanned.tried == 32


def test_a_context_that_hurts_is_noticed() -> None:
    good = {*range(20, 33)} | {7}
    bisected, _ = planted(good, probes=0)
    assert bisected.bisected == 20 and bisected.monotone == 1  # it never asked
    scanned, _ = planted(good, scan=True)
    assert scanned.bisected == 20 and scanned.fewest == 7 and scanned.monotone == 0
    probed, _ = planted(good, probes=4)  # 7, 13, 20 and 26
    assert probed.fewest == 7 and probed.monotone == 0 and probed.tried < 12
    gap, _ = planted({*range(9, 25), *range(26, 33)}, probes=4)  # 26 gives it, 25 is not asked
    assert gap.bisected == 9 and gap.monotone == 1
    gap, _ = planted({*range(9, 25), *range(26, 33)}, scan=True)
    assert gap.fewest == 9 and gap.monotone == 0


def test_no_extraction_is_no_length() -> None:
    result, calls = planted({4, 5})
    assert np.isnan(result.fewest) and np.isnan(result.bisected) and np.isnan(result.monotone)
    assert calls == result.tried == 1


def test_lengths_count_without_what_the_model_reads_first() -> None:
    model = gpt_neox()
    begin_with(model, (5,))
    tokens = mixed(model)
    result = compress(model, tokens, PREFIX, scan=True)
    plain = gpt_neox()
    for length in range(1, PREFIX + 1):
        context = np.concatenate([np.full((5, 1), 5), tokens[:, PREFIX - length : PREFIX]], 1)
        given = (greedy_continuations(plain, context, SUFFIX) == tokens[:, PREFIX:]).all(1)
        asked = result.gives[:, length - 1] >= 0
        np.testing.assert_array_equal(result.gives[asked, length - 1], given[asked])


def test_what_cannot_be_done_is_refused() -> None:
    tokens = random_tokens(1, PREFIX + SUFFIX)
    with pytest.raises(EngramError, match="keep: 'middle'; choose last, first, onset"):
        compress(gpt_neox(), tokens, PREFIX, "middle")
    with pytest.raises(EngramError, match="probes: -1; give a number of lengths"):
        compress(gpt_neox(), tokens, PREFIX, probes=-1)
