"""Write the tables of the benchmark: scores by every name, their comparisons and calibration."""

import pandas as pd
from tqdm import tqdm

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job
from engram.scores import difference_tables, taxonomy_tables
from engram.scores.trained import read_trained, score_together, text_keys
from engram.taxonomy.partitions import merge_equal
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

with job(snakemake) as settings:
    files, outputs = snakemake.input, snakemake.output
    categories = categories_from_config(settings.categories)
    names = merge_equal(Taxonomy.parse(name, categories) for name in settings.taxonomies)
    confidence = settings.statistics["confidence"]
    draws = {"resamples": settings.statistics["resamples"], "seed": settings.seed}
    runs = [(run["model"], run["protocol"], run["taxonomy"]) for run in settings.runs]
    counts = pd.read_csv(files.counts).groupby(["model", "protocol", "slug"])
    candidates = {
        run: dict(zip(part["class"], part["candidates"], strict=True)) for run, part in counts
    }
    # Of the published data, the pile's windows alone are a plain draw.
    natural = {
        run: dict(zip(part["class"], part["natural"].fillna(part["candidates"]), strict=True))
        for run, part in counts
        if run[0] in settings.natural
    }
    columns = ["sequence_id", "content_group"]
    groups = {
        model: read_parquet(path, columns).set_index("sequence_id")["content_group"]
        for model, path in zip(settings.models, files.labels, strict=True)
    }
    # Of several models: a text that two of them have is one text.
    texts = {
        model: text_keys(path, groups[model], settings.prefix)
        for model, path in zip(settings.models, files.candidates, strict=False)
    }
    predictions = tqdm(files.predictions, desc="predictions", unit="taxonomy")
    trained = [
        read_trained(
            path,
            *run,
            candidates[run],
            texts.get(run[0]),
            natural.get(run),
            confidence=confidence,
            **draws,
        )
        for run, path in zip(runs, predictions, strict=True)
    ]
    units = {model: group.map(texts[model]) if texts else group for model, group in groups.items()}
    leaked = {
        run: difference_tables.leaked_groups(read_parquet(path), units[run[0]])
        for run, path in zip(runs, files.samples, strict=True)
    }
    scores = score_together(trained, **draws)
    published, published_rho = pd.read_csv(files.published), pd.read_csv(files.published_rho)
    tables = {
        "benchmark": taxonomy_tables.taxonomy_table(scores, names, published, confidence),
        "classes": taxonomy_tables.class_table(scores, names, confidence),
        "confusions": taxonomy_tables.confusion_table(scores),
        "rho": taxonomy_tables.rho_table(scores, names, settings.rho, published_rho, confidence),
        "comparisons": difference_tables.comparison_table(scores, names, confidence),
        "added": difference_tables.added_table(trained, names, confidence, **draws),
        "protocols": difference_tables.protocol_table(trained, names, leaked, confidence, **draws),
        "calibration": taxonomy_tables.calibration_table(trained, names),
    }
    for name, table in tables.items():
        write_csv(table, outputs[name])
