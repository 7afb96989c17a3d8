"""Plot the attention maps of one test sample per class, the one of lowest priority."""

from pathlib import Path

import pandas as pd

from engram.figures.attention import attention_examples
from engram.figures.style import FigureStyle, save
from engram.io.artifacts import read_parquet
from engram.io.streams import read_selected
from engram.run.job import job
from engram.store.index import AttentionStore
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

with job(snakemake):
    style = FigureStyle(**snakemake.params.style)
    taxonomy = Taxonomy.parse(
        snakemake.params.taxonomy, categories_from_config(snakemake.params.categories)
    )
    samples = read_parquet(snakemake.input.samples)
    mine = samples[(samples["taxonomy"] == taxonomy.slug) & (samples["split"] == "test")]
    first = (
        mine.sort_values("priority")
        .drop_duplicates("class")
        .set_index("class")
        .loc[taxonomy.class_names, "sequence_id"]
    )
    # What the model continued itself stands first: it is the text whose attention is shown.
    wanted, paths = first.to_numpy(), (snakemake.input.continuations, snakemake.input.candidates)
    sources = [read_selected(path, wanted, ["sequence_id", "text"]) for path in paths]
    texts = pd.concat(sources).drop_duplicates("sequence_id").set_index("sequence_id")["text"]
    attention = AttentionStore(
        Path(snakemake.input.index), [Path(path) for path in snakemake.input.shards]
    ).read(first.to_numpy(), "mean")
    figure = attention_examples(
        attention,
        taxonomy.class_names,
        texts.loc[first].tolist(),
        snakemake.params.prefix,
        style=style,
    )
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)
