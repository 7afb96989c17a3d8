"""Captions: every one renders to HTML without a complaint, as Snakemake renders it."""

from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
from docutils.core import publish_parts

REPORT = Path(__file__).parents[3] / "workflow" / "report"
CAPTIONS = sorted(path.stem for path in REPORT.glob("*.rst") if path.stem != "workflow")
OF_MODEL = {
    *("attention_heads", "entropy_course_figure", "memorization_vs_exposures"),
    *("nursery_training", "taxonomy_flow"),
}
OF_PROTOCOL = {"confusion", "training_curves"}
OF_TAXONOMY = {
    *("attention_examples", "delta_maps", "delta_peaks", "layer_profile"),
    "saliency_checks",
    *("dose_response", "embedding_attack"),
    *(f"knockout_{plot}" for plot in ("curves", "heads", "layers", "regions")),
}

# Snakemake's own settings, but for a name that does not exist: there it prints nothing.
ENVIRONMENT = jinja2.Environment(
    trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
)


def render(name: str, **snakemake) -> str:
    source = (REPORT / f"{name}.rst").read_text()
    text = ENVIRONMENT.from_string(source).render(snakemake=SimpleNamespace(**snakemake))
    settings = {"report_level": 1, "halt_level": 1}  # any remark of docutils is an error
    return publish_parts(text, writer="html", settings_overrides=settings)["html_body"]


@pytest.mark.parametrize("name", CAPTIONS)
def test_a_caption_renders_with_the_wildcards_its_rule_has(name):
    wildcards = {"model": "nursery"} if name in OF_MODEL | OF_PROTOCOL | OF_TAXONOMY else {}
    wildcards |= {"protocol": "engram"} if name in OF_PROTOCOL | OF_TAXONOMY else {}
    wildcards |= {"taxonomy": "non-memo_guess_others"} if name in OF_TAXONOMY else {}
    origins = {"": "From all models.", "nursery": "From the nursery."}
    html = render(
        name,
        wildcards=SimpleNamespace(**wildcards),
        rule="made",
        config={"origin": origins, "code": {"made": "c0de"}},
    )
    assert "c0de" in html
    assert ("From the nursery." if wildcards else "From all models.") in html
    assert all(value in html for value in wildcards.values() if value != "engram")


@pytest.mark.parametrize(
    "config", [{}, {"study": "demo", "models": [{"name": "nursery"}, {"name": "pythia-12b"}]}]
)
def test_the_front_page_names_the_study_where_the_config_does(config):
    html = render("workflow", config=SimpleNamespace(**({"study": None, "models": []} | config)))
    assert ("demo</strong>; its models: nursery, pythia-12b.</p>" in html) == bool(config)


def test_a_caption_says_how_to_read_it():
    texts = {name: (REPORT / f"{name}.rst").read_text() for name in CAPTIONS}
    assert texts and [name for name in texts if "*How to read it.*" not in texts[name]] == []
