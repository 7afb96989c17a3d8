"""The validated config, the study's names, and the settings files that decide what reruns.

Every cause of a result is a file. What the config, the code and the user's own files say about a
stage is its *settings file*, `results/<study>/settings/<stage>.json`: it is written when the rules
are read, and only if its content differs. So a plan needs no memory of earlier runs to know what is
outdated. Edges are plain, except those from the files that hold all taxonomies of a model
(continuations, attention): they are `ancient`, which orders jobs and triggers none. All that follows
from such an edge takes its settings from a job (`stamp`, `version_attention`): where a job ahead of a
stage runs, Snakemake looks at nothing but plain edges from jobs that run.
"""

import functools
import math
import os
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from engram.io.errors import EngramError
from engram.run import bundle, digests, provenance, tracking
from engram.run import config as study_config
from engram.run import study_taxonomies
from engram.run.project import ROOT
from engram.run.lost_memory import refresh
from engram.run.paths import without_braces
from engram.run.settings_files import SettingsFiles, locked
from engram.sources import state
from engram.sources.entry import brings_scores, published, training_step
from engram.sources.published_shapes import known_by_name
from engram.taxonomy.transfer_settings import REVERSED

GIVEN = study_config.without_dates(dict(config))
try:
    STUDY = study_config.complete(GIVEN)
except EngramError as error:
    raise WorkflowError(f"The config has mistakes:\n{error}")

if {"{", "}"} & set(str(ROOT)):
    raise WorkflowError(
        f"{ROOT}: Snakemake cannot run scripts below a folder with braces; move it."
    )

# Jobs import engram from this checkout, also where it is not installed: in a conda environment or
# on a node of a cluster.
INHERITED = [os.getenv("PYTHONPATH")] if os.getenv("PYTHONPATH") else []
os.environ.update(PYTHONPATH=os.pathsep.join([str(Path(digests.PACKAGE).parent), *INHERITED]))

RESULTS = f"results/{STUDY['study']}"
MODEL = f"{RESULTS}/{{model}}"
PROTOCOL = f"{MODEL}/{{protocol}}"
# Captions of the report see the config and nothing else of the study; see workflow/report/.
config["origin"] = provenance.origins(STUDY, Path(RESULTS, "run.json"))
CODE = digests.code_digests(ROOT / "workflow" / "scripts", Path(".snakemake/engram_code.json"))
MODELS = {model["name"]: model for model in STUDY["models"]}
NURSERY = [name for name, model in MODELS.items() if model["source"] == "nursery"]
CROSSED = [name for name, model in MODELS.items() if model["arm"]]
PAIRS = {name: MODELS[name]["counterpart"] for name in CROSSED if MODELS[name]["arm"] == 1}
SCHEDULED = [name for name in NURSERY if name not in CROSSED]
# Models from elsewhere that are drilled here; every other one that is not the nursery's is as it came.
DRILLED = [name for name in CROSSED if name not in NURSERY]
BROUGHT = [name for name in MODELS if name not in (*NURSERY, *DRILLED)]
HUB = [name for name, model in MODELS.items() if model["source"] == "hub"]
PACKAGED = [name for name, model in MODELS.items() if model["source"] == "packages"]
SCORED = [name for name in BROUGHT if brings_scores(MODELS[name])]
MEASURED = [name for name in BROUGHT if name not in SCORED]
AUDIT = STUDY["audit"]
AUDITED = [name for name in BROUGHT if AUDIT["enabled"] and MODELS[name]["source"] == "corpus"]
TWINNED = [name for name in BROUGHT if MODELS[name]["twin"]]
# Models with a published counterpart, which scores all of their candidates.
COMPARED = [name for name in BROUGHT if MODELS[name]["counterpart"]]
# Models whose candidates hold a plain draw from a corpus: windows of the nursery are chosen and
# drilled, a table may be anything, text may have been inserted, and `memories_*` holds nothing but
# memorized windows; with `pile_*`, the candidates say which are of the latter.
NATURAL = [
    name
    for name, model in MODELS.items()
    if (model["source"] == "corpus" and not model["exposures_column"])
    or (model["source"] == "hub" and any(split.startswith("pile") for split in model["splits"]))
]
PROTOCOLS = STUDY["protocols"]
# Kinds of text that are held out: paths treat them like protocols.
HELD_OUT = {f"held-out-{entry['name']}": entry for entry in STUDY["samples"]["held_out"]}
# Kinds of windows whose classifiers are tested on each other: likewise, for some taxonomies.
TRANSFERS = study_taxonomies.transfer_lists(STUDY)
NAMED = study_taxonomies.named_taxonomies(STUDY)
TAXONOMIES = study_taxonomies.taxonomies(STUDY)
LOCALIZED = study_taxonomies.localized(STUDY)
KNOCKED_OUT = study_taxonomies.knocked_out(STUDY)
FORMATS = STUDY["figures"]["formats"]
BATCH_TOKENS = STUDY["attention"]["batch_tokens"]
WORKERS = STUDY["attention"]["workers"]
KERNEL = STUDY["attention"]["kernel"]
BASELINES = STUDY["cnn"]["baselines"]
WINDOW = {"prefix": STUDY["prefix"], "suffix": STUDY["suffix"]}
SHOWN = STUDY["samples"]["shown"]
GATHERED = {
    "pairs": list(PAIRS),
    "bases": [
        MODELS[name]["package"] or MODELS[name]["model"] or MODELS[name]["base"] for name in PAIRS
    ],
    "confidence": STUDY["crossed"]["confidence"],
}
SEARCHED = bool(STUDY["search"]["categories"])


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    protocol="|".join([*PROTOCOLS, *HELD_OUT, *TRANSFERS]),
    taxonomy="|".join(TAXONOMIES) or "(?!)",
    shard=r"\d+",
    stage=r"\w+",


WRITES = workflow.is_main_process and not locked(Path.cwd())
settings = SettingsFiles(Path(RESULTS, "settings"), CODE, write=WRITES)


def among(names):
    """Return a wildcard constraint: one of the names; of no names, none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def shipped(path):
    """Return a file of this project by its path from the project's root."""
    return str(ROOT / path)


def page_digests(folder):
    """Return the digests of a page's files: those that all pages share, and its own."""
    return [digests.file_digest(shipped(f"workflow/{part}")) for part in ("pages", folder)]


def runs(taxonomies, models=MODELS, protocols=PROTOCOLS):
    """Return the names of every run, in the order of `per_run`."""
    return [
        {"model": model, "protocol": protocol, "taxonomy": taxonomy}
        for model in models
        for protocol in protocols
        for taxonomy in taxonomies
    ]


TRANSFER_RUNS = [
    run
    for protocol, of_taxonomies in TRANSFERS.items()
    for run in runs(list(of_taxonomies), protocols=[protocol])
]
# Runs that have a sample list.
LISTED = runs(TAXONOMIES, protocols=[*PROTOCOLS, *HELD_OUT]) + TRANSFER_RUNS
SAMPLES = "{model}/{protocol}/samples/{taxonomy}.parquet"


def per_run(pattern, taxonomies, models=MODELS, protocols=PROTOCOLS):
    """Return `pattern` under results/<study>/ for every model, protocol and taxonomy given."""
    return [f"{RESULTS}/{pattern}".format(**run) for run in runs(taxonomies, models, protocols)]


def per_model(file, models=MODELS):
    """Return a file of every model."""
    return [f"{RESULTS}/{model}/{file}" for model in models]


def table(name, caption, label, category="1 Tables"):
    """Return a table, marked for the report."""
    return report(
        f"{RESULTS}/tables/{name}.csv",
        caption=f"../workflow/report/{caption}.rst",
        category=category,
        labels={"table": label},
    )


def figure(path, caption, category, **labels):
    """Return the files of one figure; the report shows the first format."""
    first = report(
        f"{RESULTS}/figures/{path}.{FORMATS[0]}",
        caption=f"../workflow/report/{caption}.rst",
        category=category,
        labels=labels,
    )
    return [first, *(f"{RESULTS}/figures/{path}.{kind}" for kind in FORMATS[1:])]


def figure_of_run(name, caption, category, label):
    """Return the files of a figure that every model, protocol and taxonomy has."""
    names = {name: f"{{{name}}}" for name in ("model", "protocol", "taxonomy")}
    return figure(
        f"{{model}}/{{protocol}}/{{taxonomy}}/{name}", caption, category, figure=label, **names
    )


def figures_of_cnns(name, category, label):
    """Return the files of one figure of every taxonomy, by taxonomy and then by format, each with
    its own labels in the report.
    """
    labels = {"figure": label, "model": "{model}", "protocol": "{protocol}"}
    return [
        file
        for taxonomy in TAXONOMIES
        for file in figure(
            f"{{model}}/{{protocol}}/{taxonomy}/{name}", name, category, **labels, taxonomy=taxonomy
        )
    ]


def per_figure(pattern, **wildcards):
    """Return all files of a figure for all values of its wildcards."""
    return expand(f"{RESULTS}/figures/{pattern}.{{kind}}", kind=FORMATS, **wildcards)


def designed(name):
    """Return how many windows the design of a crossed pair holds. Only the nursery has templates."""
    crossed = MODELS[name]["drilling"]["crossed"]
    strata = ("low", "high", "guessed", *(["templates"] if name in NURSERY else []))
    return sum(crossed[stratum] for stratum in strata)


def most_candidates(name):
    """Return the most candidates that a model can have; 0 where only its windows can tell, or its
    shape is not known without its weights.
    """
    entry = MODELS[name]
    if name in DRILLED:
        return designed(name)
    if name not in MEASURED:
        return 0
    if name in PACKAGED:
        drawn = (entry["unseen"]["code"], entry["unseen"]["prose"], entry["repeated"])
        return sum(sizes[overlap] for sizes in drawn for overlap in ("low", "high"))
    return entry.get("candidates", 0) if known_by_name(entry["model"]) else 0


def bound(name):
    """Return what bounds the cost of a model from above; nothing where its windows are labelled, or
    nothing is known of their number.
    """
    most = most_candidates(name)
    if not most or Path(RESULTS, name, "labels.parquet").exists():
        return {}
    moved = [slug for of_taxonomies in TRANSFERS.values() for slug in of_taxonomies]
    held_out = [slug for _ in HELD_OUT for slug in TAXONOMIES]
    drawn, per_class = (*TAXONOMIES, *moved, *held_out), STUDY["samples"]["per_class"]
    # The list of a search may hold every candidate.
    searched = [["Non-Memo", *(["search"] * -(-most // per_class))]] if SEARCHED else []
    lists = {
        "taxonomies": [TAXONOMIES[slug].class_names for slug in drawn] + searched,
        "protocols": len(PROTOCOLS),
        "per_class": per_class,
    }
    # The base of pairs is asked once, whatever their number.
    asked = MODELS[name]["drilling"]["crossed"]["asked"] if name in OWNERS else {}
    return {
        "candidates": most,
        "models": 2 if name in (*COMPARED, *DRILLED) else 1,
        "asked": sum(asked.values()),
        "lists": lists,
    }


def transfer_settings():
    """Write the settings of the lists of every transfer, and return their pattern."""
    for protocol, of_taxonomies in TRANSFERS.items():
        lists = {
            slug: {
                "taxonomy": defined(TAXONOMIES[slug]),
                "kinds": kinds,
                "samples": DRAWN,
                "seed": STUDY["seed"],
            }
            for slug, kinds in of_taxonomies.items()
        }
        settings.by("taxonomy", protocol, lists, script="draw_transfer")
    return f"{settings.folder}/taxonomy/{{taxonomy}}/{{protocol}}.json"


def measure_settings(name):
    """Return the settings file of a measure that has a section of its own."""
    section = STUDY["mechanisms"][name]
    return settings.stamped(
        f"measure_{name}",
        measure={
            key: value
            for key, value in section.items()
            if key != "enabled" and not key.startswith("course")
        },
        samples_per_class=STUDY["mechanisms"]["samples_per_class"],
        prefix=STUDY["prefix"],
        **VERIFIED,
        **STATISTICS,
    )


def other_direction(run):
    """Return the run of the same kinds whose classifiers come from the other one."""
    name = run["protocol"]
    other = name.removesuffix(REVERSED) if name.endswith(REVERSED) else f"{name}{REVERSED}"
    return {**run, "protocol": other}


def of_taxonomy(file):
    """Return a function for a file of every model, for a taxonomy."""
    return lambda wildcards: [
        f"{RESULTS}/{model}/engram/cnns/{wildcards.taxonomy}/{file}" for model in MOVED_MODELS
    ]
