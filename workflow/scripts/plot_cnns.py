"""Plot the confusion matrices and the training curves of every taxonomy."""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from engram.figures.confusion import confusion_matrices
from engram.figures.style import FigureStyle, save
from engram.figures.training import training_curves
from engram.io.artifacts import read_metadata, read_parquet
from engram.run.job import job
from engram.scores.confusions import RUNS, summed_confusions

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    model, inputs, outputs = snakemake.wildcards.model, snakemake.input, snakemake.output
    # Outputs are sorted by taxonomy, then by format.
    every = len(style.formats)
    files = list(
        zip(
            inputs.predictions,
            inputs.histories,
            outputs.confusions[::every],
            outputs.curves[::every],
            strict=True,
        )
    )
    for predictions, history, confusions, curves in tqdm(files, desc="figures", unit="taxonomy"):
        classes = read_metadata(predictions)["classes"]
        matrices = summed_confusions(read_parquet(predictions), classes)
        panels = {RUNS[run]: matrix for run, matrix in matrices.items()}
        figure = confusion_matrices({model: panels}, classes, style=style)
        save(figure, Path(confusions).with_suffix(""), style)
        save(
            training_curves(pd.read_csv(history), style=style), Path(curves).with_suffix(""), style
        )
