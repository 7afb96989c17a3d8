"""Reading a sample list, compared with training on it, at the shape of Pythia-12b.

    python perf/reading.py FOLDER [--samples 24000] [--memory-mb 1000]

Writes a store of random attention to FOLDER (449 kB a sample, 10.8 GB for the paper's 24,000 of
four classes of 6,000), and reads one sample list from it as training jobs do: once in the list's
order, checksums verified, and then in epoch order from where `engram.store.memory` has put it,
which is a scratch file because the list exceeds `--memory-mb`. As root, the system's page cache is
emptied before each of them, so that the disk is read; otherwise the table says that it was not.
Training is one epoch of one CNN on samples that lie in memory, the smallest CNN of the grid, in one
thread. Times are wall time per sample. Deletes the store."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from tqdm import tqdm

from engram.cnn.dataset import Dataset
from engram.cnn.settings import CnnSettings
from engram.cnn.training import train_cnn
from engram.store.attention_file import KEY_BYTES, Header, new_attention_file
from engram.store.index import AttentionStore, write_index
from engram.store.memory import Memory

LAYERS, HEADS, PREFIX, TOKENS = 36, 40, 32, 64
HEADER = Header(
    "Pythia-12b's shape", "0" * 32, "float16", PREFIX, TOKENS - PREFIX, LAYERS, HEADS, "float32"
)
BATCH, BLOCK = 16, 256


def write_store(folder: Path, samples: int) -> AttentionStore:
    """A store of random maps in four shards."""
    random, shards = np.random.default_rng(0), []
    for shard in range(4):
        ids = np.arange(shard, samples, 4)
        shards.append(folder / f"shard-{shard}.h5")
        with new_attention_file(shards[-1], len(ids), HEADER) as writer:
            for start in tqdm(range(0, len(ids), BLOCK), desc=f"shard {shard}", leave=False):
                rows = ids[start : start + BLOCK]
                maps = random.random((len(rows), LAYERS, HEADER.packed), np.float32) / TOKENS
                columns = {
                    "sequence_id": rows,
                    "key": np.zeros((len(rows), KEY_BYTES), np.uint8),
                    "extracted": np.ones(len(rows), bool),
                    "matched_fraction": np.ones(len(rows), np.float32),
                    "suffix_log_prob": np.zeros(len(rows), np.float32),
                }
                positions = range(start, start + len(rows))
                writer.write(positions, {"mean": maps, "max": maps.astype(np.float16)}, columns)
    write_index(shards, folder / "index.parquet")
    return AttentionStore(folder / "index.parquet")


def empty_page_cache() -> bool:
    """Whether what the system keeps of files in memory could be dropped."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("1")
    except OSError:
        return False
    return True


def own_memory_mb() -> float:
    """Memory of the process that is not a file's, in MB."""
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("RssAnon")
    )
    return int(line.split()[1]) * 1024 / 1e6


def training_ms(store: AttentionStore, samples: int = 480) -> float:
    """Milliseconds per sample of one epoch of the smallest CNN, forward, backward and evaluation,
    on samples in memory.
    """
    ids = np.arange(samples)
    settings = CnnSettings(
        kernels=(6,),
        features=(10,),
        head_poolings=("max",),
        controls=(),
        baselines=(),
        epochs=1,
        batch_size=BATCH,
    )
    split = np.where(ids < 2 * samples // 3, "train", "test")
    maps = store.read(ids, "max")
    data = Dataset(
        ids, ids, np.zeros((samples, TOKENS), np.int64), maps, maps, ids % 3, split, ["a", "b", "c"]
    )
    key, shape = next(iter(settings.grid().items()))
    train_cnn(data, key, shape, settings, "all_epochs")  # warm up
    start = time.perf_counter()
    train_cnn(data, key, shape, settings, "all_epochs")
    return 1e3 * (time.perf_counter() - start) / samples


def main() -> None:
    """Runs the comparison and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=24_000)
    parser.add_argument("--memory-mb", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.samples < 480:
        parser.error("--samples: take 480 or more")
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        store = write_store(folder, arguments.samples)
        training = training_ms(store)
        order = np.random.default_rng(1).permutation(arguments.samples)
        print(
            f"{arguments.samples} samples, {arguments.memory_mb} MB of memory allowed; one epoch "
            f"of one CNN: {training:.2f} ms a sample"
        )
        print(
            f"{'pooling':<9}{'GB':>6}{'list once':>12}{'epoch order':>13}{'share of training':>19}"
            f"{'own memory MB':>15}  page cache"
        )
        for pooling in ("max", "mean"):
            before, cold = own_memory_mb(), empty_page_cache()
            start = time.perf_counter()
            maps = Memory(arguments.memory_mb, folder).read(store, order, pooling)
            once = 1e3 * (time.perf_counter() - start) / len(order)
            empty_page_cache()
            epoch = np.random.default_rng(2).permutation(len(maps))
            start = time.perf_counter()
            for first in tqdm(range(0, len(epoch), BATCH), desc="epoch order", leave=False):
                maps[epoch[first : first + BATCH]].sum(dtype=np.float32)
            read = 1e3 * (time.perf_counter() - start) / len(epoch)
            print(
                f"{pooling:<9}{maps.nbytes / 1e9:>6.1f}{once:>9.2f} ms{read:>10.2f} "
                f"ms{100 * read / training:>18.0f}%"
                f"{own_memory_mb() - before:>15.0f}  {'emptied' if cold else 'as it was'}"
            )
            del maps


if __name__ == "__main__":
    main()
