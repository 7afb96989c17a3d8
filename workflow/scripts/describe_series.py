"""Describe the texts that models of a series memorize, and how far the models agree."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tqdm import tqdm

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import gather, job
from engram.series.agreement import agreement_table, shared_table, window_keys
from engram.series.distances import DOMAIN, SUFFIX, distance_table
from engram.series.measures import Member, measure_names, needed_labels, windows_of
from engram.series.texts import FREQUENCIES, described, property_table, text_properties
from engram.sources.early_exit import EarlyExit
from engram.taxonomy.sampling import PLAIN_DRAW
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config
from engram.windows.domains import domains
from engram.windows.shown_text import suffix_keys

with job(snakemake) as settings:
    files, output, series = snakemake.input, snakemake.output, settings.series
    confidence = settings.statistics["confidence"]
    taxonomies = [
        Taxonomy.parse(entry["name"], categories_from_config(entry["categories"]))
        for entry in settings.taxonomies
    ]
    measures, column = measure_names(taxonomies), series["domain"]
    optional = {PLAIN_DRAW, *FREQUENCIES.values()}
    needed = needed_labels(taxonomies, series["where"]) | optional | {column or "is_code"}
    half = (series["half_low"], series["half_high"])
    early_exits = getattr(settings, "early_exits", {})
    models, parts, compared = {}, [], {}
    for name, path, candidates in zip(
        tqdm(settings.families, desc="models", unit="model"),
        files.labels,
        files.candidates,
        strict=True,
    ):
        family = settings.families[name]
        present = set(pq.read_schema(path).names)
        labels = read_parquet(path, sorted(needed - (optional - present)))
        groups = labels["content_group"].unique()
        keys = pd.Series(groups, index=groups)
        member = Member(name, family, 0)
        early = early_exits.get(name)
        windows = windows_of(
            member,
            labels,
            keys,
            taxonomies,
            half,
            series["where"],
            EarlyExit(**early) if early else None,
        )
        texts = read_parquet(candidates, ["sequence_id", "tokens", "text"])
        texts = texts.set_index("sequence_id").loc[windows["sequence_id"]]
        tokens = np.stack(texts["tokens"].tolist())  # (n, T)
        models[name] = pd.concat([windows, window_keys(tokens, texts["text"])], axis=1)
        chosen = described(windows, settings.seed)
        place = windows.index.get_indexer(chosen.index)
        own = labels.set_index("sequence_id").loc[chosen["sequence_id"]]
        domain = (
            own[column].to_numpy()
            if column
            else domains(texts["text"].iloc[place], own["is_code"].to_numpy())
        )
        properties = text_properties(own, tokens[place], domain)
        suffixes = suffix_keys(tokens[place][:, settings.prefix :])
        compared[name] = chosen.assign(**{DOMAIN: domain, SUFFIX: suffixes})
        parts.append(property_table(chosen, properties, measures, confidence))
    names = [{"family": family, "model": name} for name, family in settings.families.items()]
    write_csv(gather(names, parts), output.texts)
    statistics = {**settings.statistics, "seed": settings.seed}
    distances = distance_table(compared, settings.families, measures, **statistics)
    write_csv(distances, output.distances)
    write_csv(agreement_table(models, measures, confidence), output.agreement)
    write_csv(shared_table(models, settings.families, confidence), output.shared)
