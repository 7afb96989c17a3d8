"""Plot the attention maps of one test sample per class, the one of lowest priority."""

from pathlib import Path

import pandas as pd

from engram.figures.attention import attention_examples
from engram.figures.style import FigureStyle, save
from engram.io.artifacts import read_metadata, read_parquet
from engram.io.streams import read_selected
from engram.run.job import job
from engram.store.index import AttentionStore

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    files, classes = snakemake.input, read_metadata(snakemake.input.samples)["classes"]
    samples = read_parquet(files.samples)
    test = samples[samples["split"] == "test"].sort_values("priority").drop_duplicates("class")
    shown = test.set_index("class").loc[classes, "sequence_id"].to_numpy()
    # Continuations come first: they are the texts whose attention is shown.
    paths, columns = (files.continuations, files.candidates), ["sequence_id", "text"]
    tables = [read_selected(path, shown, columns) for path in paths]
    texts = pd.concat(tables).drop_duplicates("sequence_id").set_index("sequence_id")["text"]
    store = AttentionStore(Path(files.attention))
    maps, words = store.read(shown, "mean"), texts.loc[shown].tolist()
    rows = {"opening": len(store.header.opening), "block": store.header.block}
    figure = attention_examples(maps, classes, words, settings.prefix, **rows, style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)
