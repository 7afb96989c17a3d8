"""Test the classifiers of every other model of a study on one model's samples."""

import logging
from pathlib import Path

import pandas as pd

from engram.cnn.checkpoints import load_cnns, read_header
from engram.cnn.transferred import (
    Maps,
    Texts,
    cnn_logits,
    prediction_rows,
    require_tokens,
    stored_logits,
    text_logits,
    unseen,
)
from engram.cnn.transferred_samples import PREDICTED, listed_samples, read_texts
from engram.io.artifacts import read_metadata, read_parquet, write_parquet
from engram.io.errors import EngramError
from engram.run.job import PARTS, gather, job
from engram.store.index import AttentionStore
from engram.store.memory import Memory

with job(snakemake) as settings:
    files, model = snakemake.input, snakemake.wildcards.model
    metadata, number = read_metadata(files.own), settings.models.index(model)
    classes = metadata["classes"]
    listed = listed_samples(read_parquet(files.own, PREDICTED))
    tests = listed[listed["split"] == "test"].reset_index(drop=True)
    store = AttentionStore(Path(files.attention[0]))
    memory = Memory(snakemake.resources.maps_mb, PARTS / "cnns")
    ids = tests["sequence_id"].to_numpy()
    mean, largest = (memory.read(store, ids, pooling) for pooling in ("mean", "max"))

    def texts_of(place: int, samples: pd.DataFrame) -> Texts:
        """Return the texts of a model's samples, by its place among the models."""
        return read_texts(
            samples,
            str(files.candidates[place]),
            str(files.continuations[place]),
            str(files.labels[place]),
            classes,
            settings.prefix,
        )

    own = texts_of(number, tests)
    spans = store.header.spans if store.header.block > 1 else None
    maps = Maps(mean, largest, store.header.read_tokens(own.tokens), spans)
    parts, sources = [], {}
    for place, name in enumerate(settings.models):
        if name == model:
            continue
        checkpoints, predictions = Path(files.checkpoints[place]), files.predictions[place]
        header = read_header(checkpoints)
        sources[name] = {"layers": header["layers"], "refused": ""}
        try:
            require_tokens(header["tokens"], maps.side, name)
        except EngramError as error:
            logging.info("%s", error)
            sources[name]["refused"] = str(error)
            continue
        trained = read_parquet(predictions)
        other = texts_of(place, listed_samples(trained))
        new = unseen(own, other)
        logging.info("%s: %d of %d test samples are new to it", name, new.sum(), len(new))
        logits = cnn_logits(load_cnns(checkpoints), maps.rows(new), settings.precision)
        known = stored_logits(trained, other.samples.sequence_id)
        samples = own.rows(new).samples
        logits |= text_logits(other.samples, known, samples, logits, len(classes))
        parts.append(prediction_rows(tests[new], logits, name))
    columns = [*tests, "input", "labels", "cnn", "seed", "logits", "trained_on"]
    table = gather([{}] * len(parts), parts) if parts else tests.head(0).reindex(columns=columns)
    shown = {"classes": classes, "taxonomy": metadata["taxonomy"], "sources": sources}
    shown["layers"] = mean.shape[1]
    write_parquet(table, snakemake.output.predictions, shown)
