"""Looks at the node that a job got: allocation, files, software, GPU. It never fails: what is wrong
is reported at the end.
"""

import json
from pathlib import Path

from engram.io.artifacts import write_json
from engram.run.job import job
from engram.run.site import load_site
from engram.run.smoke import as_rows, check_node

with job(snakemake):
    head, site = Path(snakemake.input.head), load_site()
    on_gpu = snakemake.params.gpu
    partition = site.gpu_partition if on_gpu else site.cpu_partition
    findings = check_node(
        json.loads(head.read_text()), head.parent, partition, site.account, on_gpu
    )
    write_json(as_rows(findings), snakemake.output.findings)
