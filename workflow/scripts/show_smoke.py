"""Print what was found here and on the nodes; exit with an error if anything needs fixing."""

import json
import shutil
import sys
from pathlib import Path

from engram.run.job import job
from engram.run.smoke import Finding, report

with job(snakemake):
    head, cpu, gpu = (
        json.loads(Path(snakemake.input[name]).read_text()) for name in ("head", "cpu", "gpu")
    )
    rows = {
        "where Snakemake runs": head["findings"],
        "job without a GPU": cpu,
        "job with a GPU": gpu,
    }
    places = {place: [Finding(**row) for row in findings] for place, findings in rows.items()}
    print(report(places), file=sys.stderr)
    shutil.rmtree(
        Path(snakemake.input.head).parent
    )  # Snakemake keeps temporary files of a run that fails
    if not all(finding.ok for findings in places.values() for finding in findings):
        sys.exit(1)
