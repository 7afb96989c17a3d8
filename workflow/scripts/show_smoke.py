"""Prints what was found here and on the nodes; ends with an error where something is to be mended."""

import json
import shutil
import sys
from pathlib import Path

from engram.job import job
from engram.smoke import Finding, report

with job(snakemake):
    head, cpu, gpu = (json.loads(Path(snakemake.input[name]).read_text()) for name in ("head", "cpu", "gpu"))
    rows = {"where Snakemake runs": head["findings"], "job without a GPU": cpu, "job with a GPU": gpu}
    places = {place: [Finding(**row) for row in findings] for place, findings in rows.items()}
    print(report(places), file=sys.stderr)
    shutil.rmtree(Path(snakemake.input.head).parent)  # Snakemake keeps temporary files of a run that fails
    if not all(finding.ok for findings in places.values() for finding in findings):
        sys.exit(1)
