"""Asks SLURM whether it would take our jobs, and notes what the nodes must see; fails at once where
it would not.
"""

import secrets
import sys
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE

from engram.io.artifacts import write_json
from engram.run.job import job
from engram.run.site import load_site
from engram.run.smoke import as_rows, check_slurm, describe_here, report

with job(snakemake):
    findings = check_slurm(load_site())
    if not all(finding.ok for finding in findings):
        print(report({"here": findings}), file=sys.stderr)
        sys.exit(1)
    token = Path(snakemake.output.token)
    token.write_text(secrets.token_hex(8))
    places = dict(snakemake.params.places) | {"hub cache": HF_HUB_CACHE}
    write_json(
        describe_here(places) | {"token": token.name, "findings": as_rows(findings)},
        snakemake.output.head,
    )
