"""Draws, of every taxonomy, the confusion matrices beside those of control and baseline, and loss
and accuracy of every CNN by epoch.
"""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from engram.figures.confusion import confusion_matrices
from engram.figures.style import FigureStyle, save
from engram.figures.training import training_curves
from engram.io.artifacts import read_metadata, read_parquet
from engram.run.job import job
from engram.scores.confusions import RUNS, summed_confusions

with job(snakemake):
    style = FigureStyle(**snakemake.params.style)
    # Outputs stand by taxonomy, then by format.
    confusion_files, curve_files = (
        files[:: len(style.formats)]
        for files in (snakemake.output.confusions, snakemake.output.curves)
    )
    files = zip(
        snakemake.input.predictions,
        snakemake.input.histories,
        confusion_files,
        curve_files,
        strict=True,
    )
    for predictions, history, confusion_file, curve_file in tqdm(
        list(files), desc="figures of CNNs", unit="taxonomy"
    ):
        classes = read_metadata(predictions)["classes"]
        confusions = summed_confusions(read_parquet(predictions), classes)
        panels = {RUNS[run]: confusion for run, confusion in confusions.items()}
        save(
            confusion_matrices({snakemake.wildcards.model: panels}, classes, style=style),
            Path(confusion_file).with_suffix(""),
            style,
        )
        save(
            training_curves(pd.read_csv(history), style=style),
            Path(curve_file).with_suffix(""),
            style,
        )
