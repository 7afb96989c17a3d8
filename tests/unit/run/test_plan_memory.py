"""Memory in the plan: what was measured of Pythia-12b on a GPU, and how it grows."""

import pytest

from engram.run.plan import model_shape
from engram.run.plan_memory import memory_gb

SHAPE = model_shape(None, "EleutherAI/pythia-12b-deduped-v0")


@pytest.mark.parametrize(
    ("dtype", "batch_tokens", "gib"), [("float16", 16_384, 35.0), ("bfloat16", 32_768, 47.6)]
)
def test_memory_is_what_was_measured(dtype: str, batch_tokens: int, gib: float) -> None:
    """The table of `perf/gpu_extraction.py` in docs/performance.md."""
    planned = memory_gb(SHAPE, 0, (32, 32), batch_tokens, dtype, continued=True)
    assert planned * 1e9 / 2**30 == pytest.approx(gib, rel=0.05)


def test_weights_of_long_windows_do_not_grow_with_their_square() -> None:
    short, long = (
        memory_gb(SHAPE, 0, (half, half), 1, "float16", continued=False)
        - SHAPE.parameters * 2 / 1e9
        for half in (32, 1024)
    )
    maps = 36 * 2048 * 2049 / 2 * 6 / 1e9
    assert 0.3 < long - maps < 40 * 2048**2 * 8 / 1e9
    assert short < 0.05


def test_blockwise_maps_take_the_square_of_a_block_less() -> None:
    tokenwise, blocks = (
        memory_gb(SHAPE, 0, (1024, 1024), 1, "float16", continued=False, block=block)
        for block in (1, 16)
    )
    cells = 2048 * 2049 / 2 - 128 * 129 / 2
    assert tokenwise - blocks == pytest.approx(36 * cells * 6 / 1e9)


def test_keys_and_values_that_heads_share_take_less() -> None:
    hubble = model_shape(None, "allegrolab/hubble-8b-100b_toks-standard-hf")
    assert hubble.kv_width == 1024
    assert hubble.parameters == hubble.weights + 2 * hubble.head_weights + 73 * 4096
