"""Plot the attention of single heads on one exported sequence."""

from pathlib import Path

from engram.figures.attention import attention_heads
from engram.figures.style import FigureStyle, save
from engram.io.checksums import open_sealed
from engram.run.job import job

with job(snakemake) as settings:
    style = FigureStyle(**settings.style)
    row = int(snakemake.wildcards.example)
    with open_sealed(Path(snakemake.input.examples)) as file:
        name = file["class"].asstr()[row]
        title = f"sequence {file['sequence_id'][row]}" + (f", {name}" if name else "")
        maps, prefix = file["attention"][row], int(file.attrs["prefix"])
    save(
        attention_heads(maps, title, prefix, style=style),
        Path(snakemake.output[0]).with_suffix(""),
        style,
    )
