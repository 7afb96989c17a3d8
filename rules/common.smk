"""The validated config, the study's names, and the digests that decide what reruns."""

import functools
import os
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from engram.run import config as study_config
from engram.run import digests
from engram.run import provenance
from engram.io.errors import EngramError
from engram.io.hashing import value_digest
from engram.sources import state
from engram.sources.entry import brings_scores, published

GIVEN = dict(config)
try:
    STUDY = study_config.complete(GIVEN)
except EngramError as error:
    raise WorkflowError(f"The config has mistakes:\n{error}")

# Jobs import engram from this checkout, also where it is not installed: in a conda environment or on a cluster's node.
INHERITED = [os.getenv("PYTHONPATH")] if os.getenv("PYTHONPATH") else []
os.environ.update(PYTHONPATH=os.pathsep.join([f"{workflow.basedir}/workflow", *INHERITED]))

RESULTS = f"results/{STUDY['study']}"
PARTS = "results/.parts"
# Captions of the report see the config and nothing else of the study; see workflow/report/.
config["origin"] = provenance.origins(STUDY, Path(RESULTS, "run.json"))
CODE = digests.code_digests(
    Path(workflow.basedir) / "workflow" / "scripts", Path(".snakemake/engram_code.json")
)
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
FORMATS = STUDY["figures"]["formats"]
CNN = {key: value for key, value in STUDY["cnn"].items() if key != "memory_mb"}
CATEGORIES = study_config.used_categories(STUDY)
BASELINES = STUDY["cnn"]["baselines"]
BASELINE_SCRIPTS = {
    "random_weights": ["permute_weights"],
    "hidden_states": ["extract_hidden_states"],
}
CODE_CLASSIFIER_STATE = state.file_state(
    STUDY["code_classifier"]["model"],
    Path(STUDY["code_classifier"]["model"], STUDY["code_classifier"]["file"]),
)


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    protocol="|".join(PROTOCOLS),
    taxonomy="|".join(TAXONOMIES),
    shard=r"\d+",


def code(script):
    """Digest of a stage's script and of all of engram that it imports: a change reruns the stage."""
    return CODE[script]


def model_entry(wildcards):
    """The model's config without what only says how its work is divided, or what is asked of it later."""
    return {
        key: value
        for key, value in MODELS[wildcards.model].items()
        if key not in ("shards", "twin", "twin_revision")
    }


def labels_lineage(wildcards):
    """Everything that decides a model's labels: config, shipped files or the user's, code."""
    entry = model_entry(wildcards)
    if entry["source"] == "nursery":
        scripts, shipped = (
            "drill_nursery",
            "score_candidates",
            "label_candidates",
        ), digests.file_digest(entry["base"])
    else:
        scripts, shipped = (
            "fetch_model",
            "fetch_dataset",
            "read_source",
            "score_windows",
            "label_candidates",
        ), source_state(wildcards)
    decided = (
        STUDY["seed"],
        STUDY["prefix"],
        STUDY["suffix"],
        STUDY["code_classifier"],
        CODE_CLASSIFIER_STATE,
    )
    return value_digest(entry, *decided, shipped, *map(code, scripts))


def drilling_state(wildcards):
    """Where a drilling keeps its state: named by all that decides it, so that another study with the same drilling finds it finished."""
    entry = MODELS[wildcards.model]
    decided = (
        digests.file_digest(entry["base"]),
        entry["drilling"],
        entry["seed"],
        STUDY["prefix"],
        STUDY["suffix"],
        code("drill_nursery"),
    )
    return f"{PARTS}/drilling-{value_digest(*decided)}"


def samples_lineage(wildcards):
    """Everything that decides the sample list of one taxonomy and the attention of its sequences.

    The sample lists and the shards hold all taxonomies, so their files change whenever one is added. What depends on one
    taxonomy alone takes them as `ancient` and reruns when this digest changes.
    """
    scripts = ("draw_samples", "continue_prefixes", "extract_attention", "index_attention")
    stored = [STUDY["attention"][key] for key in ("mean_dtype", "end_of_text")]
    drawn = {key: value for key, value in STUDY["samples"].items() if key != "minimum"}
    return value_digest(
        labels_lineage(wildcards), drawn, own_categories(wildcards), *stored, *map(code, scripts)
    )


def tuning(value):
    """A setting that decides how a job runs and no number of its results: a change reruns nothing.

    Snakemake compares the params of a job with the recorded ones, but for those of a function of `input`.
    """
    return lambda wildcards, input: value


def among(names):
    """A wildcard constraint: one of the names; of no names, none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def local_model(wildcards):
    """The configuration of a model or twin that lies in a folder; nothing where it is a repository."""
    folder = Path(MODELS[wildcards.model][wildcards.role])
    return [f"{folder}/config.json"] if folder.is_dir() else []


def existing_models():
    """Folders of the study's models that lie outside the results: the nodes of a cluster must see them."""
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


def configuration(name):
    """The configuration file of a model where it can be had without the weights, else the fetched one; none of a model known by name."""
    entry, known = MODELS[name], published(name)
    if entry["source"] == "hub" and (Path(entry["model"]) / "config.json").is_file():
        return [f"{entry['model']}/config.json"]
    if entry["source"] == "hub" and known and entry["model"] == known.model:
        return []
    return [f"{RESULTS}/{name}/model/config.json"]


def configuration_of_model(wildcards):
    """As `configuration`, for a rule's input."""
    return configuration(wildcards.model)


def source_files(wildcards):
    """What a source is read from. The user's files must be there; that they change, `source_state` tells."""
    entry = MODELS[wildcards.model]
    return (
        f"{RESULTS}/{wildcards.model}/dataset.json"
        if entry["source"] == "hub"
        else ancient(entry["table"] or entry["documents"])
    )


def source_state(wildcards):
    """Digest of the user's files that a model's candidates are made of."""
    return model_source_state(wildcards.model)


@functools.cache
def model_source_state(model):
    """As `source_state`; a corpus of many files is walked once a plan."""
    return state.source_state(MODELS[model])


def model_state(wildcards):
    """Digest of the folder of the wildcards' role, `model` or `twin`."""
    return state.model_state(MODELS[wildcards.model][getattr(wildcards, "role", "twin")])


def twin_scores(wildcards):
    """What the twin says of a model's pool; nothing where the nursery's labels say it already, or there is no twin."""
    return (
        [f"{RESULTS}/{wildcards.model}/attention/twin.parquet"]
        if wildcards.model in TWINNED
        else []
    )


def of_model(key):
    """The wildcards' model's value of a config key, as Snakemake wants it."""
    return lambda wildcards: MODELS[wildcards.model][key]


def base_file(name):
    """A shipped file of the wildcards' model's nursery base; that it changes, `base_state` tells, for git touches what it checks out."""
    return lambda wildcards: ancient(f"{MODELS[wildcards.model]['base']}/{name}")


def base_state(wildcards):
    """Digest of the wildcards' model's nursery base."""
    return digests.file_digest(MODELS[wildcards.model]["base"])


def taxonomy_name(wildcards):
    """The taxonomy as the paper writes it."""
    return TAXONOMIES[wildcards.taxonomy].name


def own_categories(wildcards):
    """The config's own categories that the taxonomy is made of."""
    names = {
        term.category.name for terms in TAXONOMIES[wildcards.taxonomy].classes for term in terms
    }
    return [category for category in STUDY["categories"] if category["name"] in names]


def class_names(wildcards):
    """The taxonomy's classes, in the order of the CNNs' outputs."""
    return TAXONOMIES[wildcards.taxonomy].class_names


def shard_files(model, folder):
    """The shards of one attention store of a model."""
    return [f"{RESULTS}/{model}/{folder}/shard-{i}.h5" for i in range(MODELS[model]["shards"])]


def shards(wildcards):
    """The attention shards of a model."""
    return shard_files(wildcards.model, "attention")


def random_shards(wildcards):
    """The shards of the attention of permuted weights."""
    return shard_files(wildcards.model, "random/attention")


def settled_shards(wildcards):
    """The shards for what depends on one taxonomy alone; see `samples_lineage`."""
    return [ancient(path) for path in shards(wildcards)]


def random_attention(wildcards):
    """Index and shards of the attention of permuted weights, for what depends on one taxonomy alone; nothing where no baseline is."""
    index = f"{RESULTS}/{wildcards.model}/random/attention/index.parquet"
    return (
        [ancient(path) for path in (index, *random_shards(wildcards))]
        if "random_weights" in BASELINES
        else []
    )


def hidden_states(wildcards):
    """The hidden states likewise."""
    return (
        [ancient(f"{RESULTS}/{wildcards.model}/hidden_states.h5")]
        if "hidden_states" in BASELINES
        else []
    )


def baselines_lineage(wildcards):
    """Code that decides what the baselines see; see `samples_lineage`."""
    return [code(script) for baseline in BASELINES for script in BASELINE_SCRIPTS.get(baseline, [])]


def per_cnns(pattern, taxonomies, models=MODELS):
    """`pattern` under results/<study>/ for every given model, every protocol and every given taxonomy."""
    return expand(f"{RESULTS}/{pattern}", model=models, protocol=PROTOCOLS, taxonomy=taxonomies)


def figure(path, caption, category, **labels):
    """The files of one figure; the report shows the first format."""
    first = report(
        f"{RESULTS}/figures/{path}.{FORMATS[0]}",
        caption=f"../workflow/report/{caption}.rst",
        category=category,
        labels=labels,
    )
    return [first, *(f"{RESULTS}/figures/{path}.{kind}" for kind in FORMATS[1:])]


def figures_of_cnns(name, category, label):
    """The files of one figure of every taxonomy, by taxonomy and then by format, each under its own labels in the report."""
    labels = {"figure": label, "model": "{model}", "protocol": "{protocol}"}
    return [
        file
        for taxonomy in TAXONOMIES
        for file in figure(
            f"{{model}}/{{protocol}}/{taxonomy}/{name}", name, category, **labels, taxonomy=taxonomy
        )
    ]


def per_figure(pattern, **wildcards):
    """All files of a figure for all values of its wildcards."""
    return expand(f"{RESULTS}/figures/{pattern}.{{kind}}", kind=FORMATS, **wildcards)
