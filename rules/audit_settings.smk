"""Settings of the audit's stages: what of the config and of the user's files decides their results."""

from engram.taxonomy.taxonomy import Taxonomy, categories_from_config


def facts_of(name):
    """Return the settings of reading what is known of a model's documents."""
    return {
        **{key: MODELS[name][key] for key in ("documents", "pattern")},
        "columns": [column for column in (AUDIT["popularity"], AUDIT["group"]) if column],
        "redact": AUDIT["redact"],
        "table": AUDIT["facts"],
        "state": [
            source_state(name),
            *([digests.file_digest(AUDIT["facts"])] if AUDIT["facts"] else []),
        ],
    }


def asked_attributes(name):
    """Return the settings of asking for the values of a model's documents."""
    return {
        **facts_of(name),
        **{key: MODELS[name][key] for key in ("text_column", "dtype")},
        **{key: AUDIT[key] for key in ("attributes", "alternatives")},
        "prefix": STUDY["prefix"],
        "seed": STUDY["seed"],
    }


def referred(name):
    """Return the settings of looking for a model's regions elsewhere."""
    reference = {"source": "corpus", "model": "", "documents": AUDIT["reference"]}
    return {
        **{key: MODELS[name][key] for key in ("documents", "pattern", "text_column")},
        **{key: AUDIT[key] for key in ("reference", "reference_pattern", "redact")},
        "suffix": STUDY["suffix"],
        "state": [
            source_state(name),
            state.source_state({**reference, "pattern": AUDIT["reference_pattern"]}),
        ],
    }


def calibrated(name):
    """Return the settings of choosing and calibrating the CNNs that give windows their class."""
    classes = Taxonomy.parse(AUDIT["taxonomy"], categories_from_config(STUDY["categories"]))
    return {
        **WINDOW,
        "cnns": AUDIT["cnns"],
        "taxonomy": classes.name,
        "categories": STUDY["categories"],
        "dtype": MODELS[name]["dtype"],
        "seed": STUDY["seed"],
        "statistics": STUDY["statistics"],
        "state": state.cnn_state(AUDIT["cnns"], classes.slug),
    }


def paired(name):
    """Return the settings of asking a model for pairs; their bins are for the table."""
    return {
        "pairs": {key: value for key, value in AUDIT["pairs"].items() if key != "bins"},
        "dtype": MODELS[name]["dtype"],
        "redact": AUDIT["redact"],
        "twin": state.model_state(MODELS[name]["twin"]),
        "state": state.file_state(AUDIT["pairs"]["table"]),
    }


def redacted_audit(name):
    """Return the settings of auditing a model's documents in memory."""
    return {
        **{
            key: MODELS[name][key]
            for key in ("documents", "pattern", "text_column", "stride", "dtype")
        },
        **{key: MODELS[name][key] for key in ("source", "model", "revision", "package")},
        **WINDOW,
        "candidates": MODELS[name]["candidates"],
        "unrelated": UNRELATED,
        "seed": STUDY["seed"],
        "audit": AUDIT,
        "categories": STUDY["categories"],
        "state": source_state(name),
    }
