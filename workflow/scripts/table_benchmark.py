"""The benchmark's tables: scores by every name, classes, thresholds, comparisons, what attention
adds, protocols, calibration.
"""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from engram.io.artifacts import read_parquet, write_csv
from engram.run.job import job
from engram.scores import contrasts
from engram.scores import taxonomy_tables as benchmark
from engram.taxonomy.partitions import merge_equal
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

with job(snakemake):
    files, params, outputs = snakemake.input, snakemake.params, snakemake.output
    categories = categories_from_config(params.categories)
    names = merge_equal(Taxonomy.parse(name, categories) for name in params.taxonomies)
    draws, confidence = (
        {"resamples": params.statistics["resamples"], "seed": params.seed},
        params.statistics["confidence"],
    )
    counts = pd.read_csv(files.counts).groupby(["model", "protocol", "slug"])
    candidates = {
        key: dict(zip(part["class"], part["candidates"], strict=True)) for key, part in counts
    }
    # results/<study>/<model>/<protocol>/cnns/<taxonomy>/predictions.parquet
    places = {path: (*Path(path).parts[-5:-3], Path(path).parts[-2]) for path in files.predictions}
    reading = tqdm(places.items(), desc="predictions", unit="taxonomy")
    trained = [
        benchmark.read_trained(path, candidates[place], confidence=confidence, **draws)
        for path, place in reading
    ]
    groups = {
        Path(p).parts[-2]: read_parquet(p, ["sequence_id", "content_group"]).set_index(
            "sequence_id"
        )
        for p in files.labels
    }
    leaked = {}
    for path in files.samples:
        model, protocol = Path(path).parts[-3:-1]
        found = contrasts.leaked_groups(read_parquet(path), groups[model]["content_group"])
        leaked |= {(model, protocol, slug): group for slug, group in found.items()}
    scores = benchmark.score(trained, **draws)
    published, published_rho = pd.read_csv(files.published), pd.read_csv(files.published_rho)
    write_csv(benchmark.benchmark_table(scores, names, published, confidence), outputs.benchmark)
    write_csv(benchmark.class_table(scores, names, confidence), outputs.classes)
    write_csv(
        benchmark.rho_table(scores, names, params.rho, published_rho, confidence), outputs.rho
    )
    write_csv(contrasts.comparison_table(scores, names, confidence), outputs.comparisons)
    write_csv(contrasts.added_table(trained, names, confidence, **draws), outputs.added)
    write_csv(
        contrasts.protocol_table(trained, names, leaked, confidence, **draws), outputs.protocols
    )
    write_csv(benchmark.calibration_table(trained, names), outputs.calibration)
