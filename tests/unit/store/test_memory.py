"""Sample lists larger than memory: the same maps, the same CNNs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_models import gpt_neox, random_tokens
from tiny_samples import tiny_dataset

from engram.cnn.grid import train_grid
from engram.cnn.settings import CnnSettings
from engram.store.index import AttentionStore, write_index
from engram.store.memory import Memory
from engram.store.settings import ExtractionSettings
from engram.store.shards import ModelSource, build_shard

IDS = np.arange(700)  # three blocks, the last one short


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AttentionStore:
    folder = tmp_path_factory.mktemp("store")
    sequences = pd.DataFrame({"sequence_id": IDS, "tokens": list(random_tokens(len(IDS), 12))})
    build_shard(
        ModelSource("tiny", "f00d", gpt_neox),
        sequences,
        folder / "parts",
        folder / "shard-0.h5",
        ExtractionSettings(prefix=6, batch_tokens=4096),
    )
    write_index([folder / "shard-0.h5"], folder / "index.parquet")
    return AttentionStore(folder / "index.parquet")


def test_what_exceeds_the_bound_lies_in_a_file_and_is_the_same(
    store: AttentionStore, tmp_path: Path
) -> None:
    order = np.random.default_rng(0).permutation(IDS)
    memory = Memory(1, tmp_path)  # mean takes 0.66 MB, max 0.33 MB: the second mean is one too many
    found = [memory.read(store, order, pooling) for pooling in ("mean", "max", "mean")]
    assert [isinstance(maps, np.memmap) for maps in found] == [False, False, True]
    np.testing.assert_array_equal(found[0], store.read(order, "mean"))
    np.testing.assert_array_equal(found[2], found[0])
    assert not list(tmp_path.iterdir()), "the scratch file has a name and would outlive the process"


def test_cnns_are_the_same_bit_for_bit_from_a_file(tmp_path: Path) -> None:
    data = tiny_dataset(60)
    mapped = {}
    for name in ("mean", "max"):
        values = getattr(data, name)
        mapped[name] = np.memmap(tmp_path / name, values.dtype, "w+", shape=values.shape)
        mapped[name][:] = values
    settings = CnnSettings(kernels=(3,), features=(4,), hidden=8, epochs=2, baselines=())
    one, other = (
        train_grid(each, settings, "best_epoch") for each in (data, replace(data, **mapped))
    )
    for key, cnn in one.trained.items():
        assert cnn.history == other.trained[key].history
        np.testing.assert_array_equal(cnn.logits, other.trained[key].logits)
