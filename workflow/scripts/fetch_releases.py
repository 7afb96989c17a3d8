"""Download the packages whose new lines a model has never seen, and write where they are."""

from engram.io.artifacts import write_json
from engram.run.job import PARTS, job
from engram.sources.releases import fetch_releases

with job(snakemake) as settings:
    fetched = fetch_releases(settings.releases, PARTS / "releases")
    write_json(fetched, snakemake.output.releases)
