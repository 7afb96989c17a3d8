"""Plot the attention of single heads on one exported sequence."""

from pathlib import Path

from engram.figures.attention import attention_heads
from engram.figures.style import FigureStyle, save
from engram.io.hdf5 import open_hdf5, read_group
from engram.run.job import job

with job(snakemake) as settings:
    style, row = FigureStyle(**settings.style), int(snakemake.wildcards.example)
    with open_hdf5(snakemake.input.examples) as file:
        arrays, attributes = read_group(file)
    name = arrays["class"][row]
    title = f"sequence {arrays['sequence_id'][row]}" + (f", {name}" if name else "")
    parts = {"prefix": attributes["prefix"], "opening": attributes["opening"]}
    figure = attention_heads(arrays["attention"][row], title, **parts, style=style)
    save(figure, Path(snakemake.output[0]).with_suffix(""), style)
