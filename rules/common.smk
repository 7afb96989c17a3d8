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
import os
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from engram.io.errors import EngramError
from engram.run import bundle, digests, provenance
from engram.run import config as study_config
from engram.run.project import ROOT
from engram.run.lost_memory import refresh
from engram.run.paths import without_braces
from engram.run.settings_files import SettingsFiles, locked
from engram.sources import state
from engram.sources.entry import brings_scores, published

GIVEN = dict(config)
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
BROUGHT = [name for name in MODELS if name not in NURSERY]
HUB = [name for name, model in MODELS.items() if model["source"] == "hub"]
SCORED = [name for name in BROUGHT if brings_scores(MODELS[name])]
MEASURED = [name for name in BROUGHT if name not in SCORED]
TWINNED = [name for name in BROUGHT if MODELS[name]["twin"]]
PROTOCOLS = STUDY["protocols"]
NAMED = study_config.named_taxonomies(STUDY)
TAXONOMIES = study_config.taxonomies(STUDY)
LOCALIZED = study_config.localized(STUDY)
KNOCKED_OUT = study_config.knocked_out(STUDY)
FORMATS = STUDY["figures"]["formats"]
BATCH_TOKENS = STUDY["attention"]["batch_tokens"]
BASELINES = STUDY["cnn"]["baselines"]
WINDOW = {"prefix": STUDY["prefix"], "suffix": STUDY["suffix"]}
SEARCHED = bool(STUDY["search"]["categories"])


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    protocol="|".join(PROTOCOLS),
    taxonomy="|".join(TAXONOMIES),
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


def base(name):
    """Return the folder of a model's nursery base: the user's where it exists, else the shipped one."""
    folder = Path(MODELS[name]["base"])
    return folder if folder.exists() else ROOT / folder


def own(path):
    """Return a user's path as Snakemake takes it: braces would be wildcards."""
    return without_braces(path, Path(".snakemake/engram_paths"))


def base_file(file):
    """Return a function for a file of the model's nursery base. Its settings know the content."""
    return lambda wildcards: ancient(f"{own(base(wildcards.model))}/{file}")


def base_digest(name):
    """Return the digest of a model's nursery base."""
    return digests.file_digest(str(base(name)))


def model_entry(name):
    """Return a model's config without what only divides its work or is asked of it later."""
    later = ("shards", "twin", "twin_revision")
    return {key: value for key, value in MODELS[name].items() if key not in later}


@functools.cache
def source_state(name):
    """Return the digest of the user's files that a model's candidates are made of."""
    return state.source_state(MODELS[name])


def local_model(wildcards):
    """Return the configuration of a model or twin in a folder; nothing for a repository."""
    folder = Path(MODELS[wildcards.model][wildcards.role])
    return [f"{own(folder)}/config.json"] if folder.is_dir() else []


def existing_models():
    """Return folders of the study's models outside the results: cluster nodes must see them."""
    named = {
        name: entry.get(key)
        for name, entry in MODELS.items()
        for key in ("model", "base")
        if entry.get(key)
    }
    return {
        f"model {name}": str(Path(path).resolve())
        for name, path in named.items()
        if Path(path).is_dir()
    }


def drilled(name):
    """Return everything that decides the weights of a nursery model."""
    entry = MODELS[name]
    chosen = {key: entry[key] for key in ("drilling", "windows", "seed")}
    return {**WINDOW, **chosen, "base": base_digest(name)}


def fetched(role, revision):
    """Return the settings of fetching every model, or every model's twin, that has to be fetched."""
    return {
        name: {
            "model": MODELS[name][role],
            "revision": MODELS[name][revision],
            "state": state.model_state(MODELS[name][role]),
        }
        for name in BROUGHT
        if MODELS[name][role]
    }


def read(names):
    """Return the settings of reading the sources of some models."""
    return {
        name: {
            **WINDOW,
            "entry": model_entry(name),
            "seed": MODELS[name]["seed"],
            "state": source_state(name),
        }
        for name in names
    }


def defined(taxonomy):
    """Return what defines a taxonomy: its name, and those categories of the config that it uses."""
    names = {term.category.name for terms in taxonomy.classes for term in terms}
    own = [category for category in STUDY["categories"] if category["name"] in names]
    return {"name": taxonomy.name, "categories": own}


def extracted(name):
    """Return everything that decides the values of a model's attention, and no taxonomy."""
    entry = MODELS[name]
    if entry["source"] == "nursery":
        weights = {**drilled(name), "code": CODE["drill_nursery"]}
    else:
        weights = {
            "model": entry["model"],
            "revision": entry["revision"],
            "state": state.model_state(entry["model"]),
            "code": CODE["fetch_model"],
        }
    stored = {key: STUDY["attention"][key] for key in ("mean_dtype", "end_of_text")}
    return {
        **WINDOW,
        **stored,
        "weights": weights,
        "dtype": entry["dtype"],
        "continuations": CODE["continue_prefixes"],
    }


def configuration(name):
    """Return the configuration file of a model where it can be had without the weights, else the
    fetched one; nothing for a model that is known by name.
    """
    entry, known = MODELS[name], published(name)
    if entry["source"] == "hub" and (Path(entry["model"]) / "config.json").is_file():
        return [f"{own(entry['model'])}/config.json"]
    if entry["source"] == "hub" and known and entry["model"] == known.model:
        return []
    return [f"{RESULTS}/{name}/model/config.json"]


def configuration_of_model(wildcards):
    """Do as `configuration`, for a rule's input."""
    return configuration(wildcards.model)


def source_files(wildcards):
    """Return what a source is read from. The user's files must exist; settings know their state."""
    entry = MODELS[wildcards.model]
    if entry["source"] == "hub":
        return f"{RESULTS}/{wildcards.model}/dataset.json"
    return ancient(own(entry["table"] or entry["documents"]))


def twin_scores(wildcards):
    """Return the twin's scores of a model's pool; nothing where there is no twin to ask."""
    twinned = wildcards.model in TWINNED
    return [f"{RESULTS}/{wildcards.model}/attention/twin.parquet"] if twinned else []


def lists_of(model):
    """Return all sample lists of a model."""
    return [
        f"{RESULTS}/{model}/{protocol}/samples/{name}.parquet"
        for protocol in PROTOCOLS
        for name in (*TAXONOMIES, *(["search"] if SEARCHED and protocol == "engram" else []))
    ]


def sample_lists(wildcards):
    """Return all sample lists of a model, for a rule's input."""
    return lists_of(wildcards.model)


def shard_files(model, folder="attention"):
    """Return the shards of one attention store of a model."""
    return [f"{RESULTS}/{model}/{folder}/shard-{i}.h5" for i in range(MODELS[model]["shards"])]


def shards(wildcards):
    """Return the attention shards of a model."""
    return shard_files(wildcards.model)


def random_shards(wildcards):
    """Return the shards of the attention of permuted weights."""
    return shard_files(wildcards.model, "random/attention")


@functools.cache
def lost_shards(model, folder="attention"):
    """Return the shards that an attention store has lost; none while it has no index.

    Stages that read attention wait for the index alone, so that a plan need not name every shard
    for each of them. A lost shard is named, so that the plan makes it again.
    """
    if not Path(RESULTS, model, folder, "index.parquet").exists():
        return []
    return [path for path in shard_files(model, folder) if not Path(path).exists()]


def attention(wildcards):
    """Return the index of a model's attention store, and what the store has lost, order-only."""
    index = f"{RESULTS}/{wildcards.model}/attention/index.parquet"
    return [ancient(path) for path in (index, *lost_shards(wildcards.model))]


def random_attention(wildcards):
    """Return the same for permuted weights; nothing where no baseline asks for it."""
    if "random_weights" not in BASELINES:
        return []
    folder = "random/attention"
    index = f"{RESULTS}/{wildcards.model}/{folder}/index.parquet"
    return [ancient(path) for path in (index, *lost_shards(wildcards.model, folder))]


def hidden_states(wildcards):
    """Return the hidden states, order-only; nothing where no baseline asks for them."""
    asked = "hidden_states" in BASELINES
    return [ancient(f"{RESULTS}/{wildcards.model}/hidden_states.h5")] if asked else []


def runs(taxonomies, models=MODELS):
    """Return the names of every run, in the order of `per_run`."""
    return [
        {"model": model, "protocol": protocol, "taxonomy": taxonomy}
        for model in models
        for protocol in PROTOCOLS
        for taxonomy in taxonomies
    ]


def per_run(pattern, taxonomies, models=MODELS):
    """Return `pattern` under results/<study>/ for every model, protocol and taxonomy given."""
    return [f"{RESULTS}/{pattern}".format(**run) for run in runs(taxonomies, models)]


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
    labels of its own in the report.
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
