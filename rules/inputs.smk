"""Functions for the inputs of stages, and for the settings that decide their results."""

CONTINUED = ("end_of_text", "generation_mask")
# What of a drilled model's entry its base does not know.
OF_A_PAIR = (
    *("name", "family", "step", "seed", "shards", "counterpart", "arm", "drilling"),
    *("base", "shape", "windows", "twin", "twin_revision", "counterpart_revision"),
)


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


def base_curve(wildcards):
    """Return the loss curve of a model's nursery base; nothing where it is trained from scratch."""
    return [] if from_scratch(wildcards.model) else base_file("training.csv")(wildcards)


def base_digest(name):
    """Return the digest of a model's nursery base."""
    return digests.file_digest(str(base(name)))


def model_entry(name):
    """Return a model's config without what only divides its work or is asked of it later."""
    later = ("family", "shards", "twin", "twin_revision", "early_exit", "step")
    later += ("counterpart", "counterpart_revision")
    return {key: value for key, value in MODELS[name].items() if key not in later}


@functools.cache
def source_state(name):
    """Return the digest of the user's files that a model's candidates are made of."""
    return state.source_state(MODELS[name])


def local_model(wildcards):
    """Return the configuration of a model, twin or counterpart in a folder, or its GGUF file; nothing
    for a repository.
    """
    return local_file(MODELS[wildcards.model][wildcards.role])


def local_file(named):
    """Return the configuration of a model in a folder, or its GGUF file; nothing for a repository."""
    path = Path(named)
    if not named or not path.exists():
        return []
    return [f"{own(path)}/config.json"] if path.is_dir() else [own(path)]


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
        if Path(path).exists()
    }


def replicas(wildcards):
    """Return how many replicas drill a nursery model: the threads of the job."""
    return MODELS[wildcards.model]["drilling"]["training"]["workers"]


def drilled(name):
    """Return everything that decides the weights of a model that is drilled here."""
    entry = MODELS[name]
    if name in DRILLED:
        return {
            **WINDOW,
            "windows": 1,  # candidates are the windows of the design
            "seed": entry["seed"],
            "arm": entry["arm"],
            "drilling": {**entry["drilling"], "replay_templates": 0.0},
            "design": {**crossed_design(first_of(name)), "pair": None},
            "base": base_of(name),
        }
    chosen = {key: entry[key] for key in ("windows", "seed")}
    if from_scratch(name):
        chosen["shape"] = entry["shape"]
    if entry["step"] is not None:
        chosen["step"] = entry["step"]
    chosen["drilling"] = dict(entry["drilling"])
    if name in CROSSED:
        design = {**crossed_design(first_of(name)), "pair": None}
        chosen |= {"arm": entry["arm"], "design": design}
    else:
        # Keys of the other design change nothing.
        chosen["drilling"] = {
            key: value
            for key, value in entry["drilling"].items()
            if key not in ("design", "crossed")
        }
    return {**WINDOW, **chosen, "base": base_digest(name)}


def from_scratch(name):
    """Return whether a model of the nursery is trained from random weights."""
    return MODELS[name]["shape"]["architecture"] != "base"


def earlier_checkpoint(wildcards):
    """Return the model of the last earlier checkpoint of the same training, from whose state this one
    goes on; nothing where there is none.
    """

    def training(name):
        return {key: value for key, value in drilled(name).items() if key != "step"}

    def last(name):
        return MODELS[name]["step"] or math.inf

    own = wildcards.model
    earlier = [
        name for name in SCHEDULED if last(name) < last(own) and training(name) == training(own)
    ]
    return (
        [ancient(f"{RESULTS}/{max(earlier, key=last)}/model/model.safetensors")] if earlier else []
    )


def first_of(name):
    """Return the first model of a crossed pair."""
    return name if name in PAIRS else MODELS[name]["counterpart"]


def crossed_design(name):
    """Return what decides windows, doses and arms of the pair whose first model this is."""
    entry = MODELS[name]
    crossed = entry["drilling"]["crossed"]
    return {
        "crossed": {**crossed, "templates": 0} if name in DRILLED else crossed,
        "prefix": STUDY["prefix"],
        "seed": STUDY["seed"],
        "pair_seed": entry["seed"],
        "pair": [name, PAIRS[name]],
        "base": base_of(name)["base"] if name in DRILLED else base_digest(name),
    }


@functools.cache
def base_of(name):
    """Return what decides the base of a drilled model, its windows, and which of them it is asked
    for; pairs of one base share all of it.
    """
    entry = MODELS[name]
    return {
        **WINDOW,
        "base": entry["package"] or entry["model"],
        "entry": {key: value for key, value in entry.items() if key not in OF_A_PAIR},
        "seed": STUDY["seed"],
        "state": source_state(name),
        "asked": entry["drilling"]["crossed"]["asked"],
    }


def base_owner(name):
    """Return the model of the study in whose folder the base of a drilled model lies."""
    return next(other for other in DRILLED if base_of(other) == base_of(name))


def of_base(file):
    """Return a function for a file of a drilled model's base."""
    return lambda wildcards: f"{RESULTS}/{base_owner(wildcards.model)}/base/{file}"


def replay_of(wildcards):
    """Return the windows that the pair of a model replays."""
    return f"{RESULTS}/{first_of(wildcards.model)}/crossed/replay.parquet"


def local_base(wildcards):
    """Return what `local_model` does, of the base of a drilled model."""
    return local_file(MODELS[wildcards.model]["model"])


def design_of(wildcards):
    """Return the design of the pair that a model belongs to."""
    return f"{RESULTS}/{first_of(wildcards.model)}/crossed/design.parquet"


def scored_as(name):
    """Return what decides how a drilled model's candidates are scored."""
    return {**WINDOW, "dtype": MODELS[name]["dtype"], "source": MODELS[name]["source"]}


def counterpart_weights(wildcards):
    """Return the weights of a model's counterpart; nothing where it has none."""
    entry = MODELS[wildcards.model]
    return [f"{RESULTS}/{entry['counterpart']}/model/model.safetensors"] if entry["arm"] else []


def counterpart_scores(wildcards):
    """Return what a published counterpart makes of a model's candidates; nothing where there is none."""
    compared = wildcards.model in COMPARED
    return [f"{RESULTS}/{wildcards.model}/counterpart.parquet"] if compared else []


def twin_configuration(wildcards):
    """Return the configuration of a model's twin; nothing where it has none."""
    twinned = wildcards.model in TWINNED
    return [f"{RESULTS}/{wildcards.model}/twin/config.json"] if twinned else []


def windows_of(wildcards):
    """Return the file of a model's windows, scored or not."""
    file = "windows" if wildcards.model in MEASURED else "candidates"
    return f"{RESULTS}/{wildcards.model}/{file}.parquet"


def replayed(name):
    """Return what decides the windows that a pair replays."""
    drilling = MODELS[name]["drilling"]
    return {
        "ngram": drilling["crossed"]["ngram"],
        "replay_windows": drilling["replay_windows"],
        "seed": MODELS[name]["seed"],
    }


def fetched(role, revision, models=BROUGHT):
    """Return the settings of fetching every model, twin or counterpart that has to be fetched."""
    return {
        name: {
            "model": MODELS[name][role],
            "revision": MODELS[name][revision],
            "package": MODELS[name]["package"] if role == "model" else "",
            "bos": MODELS[name]["bos"],
            "state": state.model_state(MODELS[name][role]),
        }
        for name in models
        if MODELS[name][role] or (role == "model" and MODELS[name]["package"])
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


def scored(name):
    """Return the settings of scoring a model's windows."""
    kept = ("dtype", "early_exit", "seed")
    chosen = {**WINDOW, **{key: MODELS[name][key] for key in kept}}
    if name in AUDITED:
        # An audit reads no score that needs decoding; a taxonomy does.
        chosen |= {"per_token": True, "decoded": bool(TAXONOMIES)}
    return chosen


def defined(taxonomy):
    """Return what defines a taxonomy: its name, and those categories of the config that it uses."""
    names = {term.category.name for terms in taxonomy.classes for term in terms}
    own = [category for category in STUDY["categories"] if category["name"] in names]
    return {"name": taxonomy.name, "categories": own}


def extracted(name):
    """Return everything that decides the values of a model's attention, and no taxonomy."""
    entry = MODELS[name]
    if name in (*NURSERY, *DRILLED):
        code = CODE["drill_crossed" if name in CROSSED else "drill_nursery"]
        weights = {**drilled(name), "code": code}
    else:
        weights = {
            "model": entry["model"],
            "revision": entry["revision"],
            "package": entry["package"],
            "bos": entry["bos"],
            "state": state.model_state(entry["model"]),
            "code": CODE["fetch_model"],
        }
    stored = {key: STUDY["attention"][key] for key in ("mean_dtype", "block", *CONTINUED)}
    return {
        **WINDOW,
        **stored,
        "shown": SHOWN,
        "weights": weights,
        "dtype": entry["dtype"],
        "continuations": CODE["continue_prefixes"],
    }


def of_pair(file):
    """Return a function for a file of both models of a pair, by the first model."""
    return lambda wildcards: [
        f"{RESULTS}/{name}/{file}" for name in (wildcards.model, PAIRS[wildcards.model])
    ]


def with_seeds(chosen):
    """Return settings of every pair: those given, and the seed that drew its doses and arms. Arms are
    drawn again with it, so that pairs whose arms were drawn apart are redrawn apart.
    """
    return {name: {**chosen, "seed": MODELS[name]["seed"]} for name in PAIRS}


def layers_of_pair(name):
    """Return a function for the states of every layer of both models, if the scorer sees them."""
    return of_pair(f"crossed/{name}.h5") if name in STUDY["crossed"]["inputs"] else []


def layers_of_pairs(name):
    """Return the same of every pair, the models of a pair after one another."""
    asked = name in STUDY["crossed"]["inputs"]
    return per_model(f"crossed/{name}.h5", BOTH_OF_PAIRS) if asked else []


def of_scorers(file):
    """Return a file of every pair: of the linear scorers, of the CNNs, if any are trained, and of
    the scorers of measures inside the models, if the study has them.
    """
    folders = ["crossed", *(["crossed/cnn"] if STUDY["crossed"]["cnn"]["inputs"] else [])]
    folders += ["crossed/mechanisms"] if STUDY["crossed"]["mechanisms"]["enabled"] else []
    return [path for folder in folders for path in per_model(f"{folder}/{file}", PAIRS)]


def crossed_shards(wildcards):
    """Return the shards of the attention of a crossed pair's windows."""
    return shard_files(wildcards.model, "crossed/attention")


def knocked_out_pair(name):
    """Return the settings of the knock-outs in a pair."""
    chosen = ("sizes", "draws", "knocked_out_windows")
    return {
        **{key: STUDY["crossed"][key] for key in chosen},
        "dtype": MODELS[name]["dtype"],
        "seed": STUDY["seed"],
        "prefix": STUDY["prefix"],
    }


def configuration(name):
    """Return the configuration file of a model where it can be had without the weights, else the
    fetched one; nothing for a model that is known by name.
    """
    entry, known = MODELS[name], published(name)
    local = entry["model"] and (Path(entry["model"]) / "config.json").is_file()
    if entry["source"] == "hub" and local:
        return [f"{own(entry['model'])}/config.json"]
    if entry["source"] == "hub" and known and entry["model"] == known.model:
        return []
    return [f"{RESULTS}/{name}/model/config.json"]


def planned_configuration(name, bounded):
    """Do as `configuration`, for a plan. Where the plan is a bound, the base of a model that is drilled
    here has its shape, and models that are known by name need no file.
    """
    if bounded and known_by_name(MODELS[name]["model"]):
        return []
    if bounded and name in DRILLED:
        return [f"{RESULTS}/{base_owner(name)}/base/config.json"]
    return configuration(name)


def configuration_of_model(wildcards):
    """Do as `configuration`, for a rule's input."""
    return configuration(wildcards.model)


def source_files(wildcards):
    """Return what a source is read from. The user's files must exist; settings know their state."""
    entry = MODELS[wildcards.model]
    if entry["source"] == "hub":
        return f"{RESULTS}/{wildcards.model}/dataset.json"
    if entry["source"] == "packages":
        return f"{RESULTS}/{wildcards.model}/releases.json"
    return ancient(own(entry["table"] or entry["documents"]))


def twin_scores(wildcards):
    """Return the twin's scores of a model's pool; nothing where there is no twin to ask."""
    twinned = wildcards.model in TWINNED
    return [f"{RESULTS}/{wildcards.model}/attention/twin.parquet"] if twinned else []


def true_texts(wildcards):
    """Return a model's continuations and candidates where every sample shows its continuation, which
    does not say by itself whether the true text is extracted.
    """
    texts = ("continuations", "candidates") if SHOWN == "own-for-all" else ()
    return [f"{RESULTS}/{wildcards.model}/{name}.parquet" for name in texts]


def list_names():
    """Return the sample lists that every model has, as protocol and taxonomy."""
    return [
        (protocol, name)
        for protocol in (*PROTOCOLS, *HELD_OUT)
        for name in (*TAXONOMIES, *(["search"] if SEARCHED and protocol == "engram" else []))
    ] + [(protocol, name) for protocol, names in TRANSFERS.items() for name in names]


def sample_lists(wildcards):
    """Return all sample lists of a model."""
    return [
        f"{RESULTS}/{wildcards.model}/{protocol}/samples/{name}.parquet"
        for protocol, name in list_names()
    ]


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
