"""`snakemake plan` on a small population in the published schema: real sample lists, no model, no
default study.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml
from checkout import ROOT, Checkout, copy_project
from tiny_sources import byte_tokenizer, tiny_model

MODEL = "pythia-2.8b-deduped-v0"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, str]:
    """The paper's study with fewer taxonomies and samples, planned; and what was printed."""
    checkout = copy_project(tmp_path_factory.mktemp("engram"))
    script = [
        sys.executable,
        "perf/population.py",
        "population",
        "--rows",
        "20000",
        "--models",
        MODEL,
    ]
    subprocess.run(script, cwd=checkout.folder, check=True, capture_output=True)
    path = checkout.folder / "population/study.yaml"
    study = yaml.safe_load(path.read_text())
    study["samples"] |= {"per_class": 200, "minimum": 50}
    study["rho"] = {"rouge_l": [0.3]}
    path.write_text(
        yaml.safe_dump(
            study | {"taxonomies": ["Non-Memo, Guess, Others", "Non-Memo, Recite[5], Others"]}
        )
    )
    return checkout, checkout.snakemake("plan", "--configfile", str(path)).stdout


def test_the_plan_counts_the_sample_lists(planned: tuple[Checkout, str]) -> None:
    results = planned[0].folder / "results/paper"
    lists = pd.concat(
        [
            pd.read_parquet(path)
            for protocol in ("engram", "paper")
            for path in sorted((results / MODEL / protocol / "samples").glob("*.parquet"))
        ]
    )
    plan = pd.read_csv(results / "tables/plan.csv").set_index("model").loc[MODEL]
    assert (plan["drawn"], plan["sequences"]) == (len(lists), lists["sequence_id"].nunique())
    assert plan["memory_gb"] > 0
    assert plan["gb_on_disk"] == pytest.approx(
        plan["sequences"] * plan["kb_per_sequence"] / 1e6, rel=1e-4
    )


def test_no_model_is_fetched_for_it(planned: tuple[Checkout, str]) -> None:
    assert not (planned[0].folder / "results/paper" / MODEL / "model").exists()


def test_a_study_of_its_own_has_nothing_of_the_default_one(planned: tuple[Checkout, str]) -> None:
    jobs = pd.read_csv(planned[0].folder / "results/paper/tables/plan_jobs.csv").set_index("rule")[
        "jobs"
    ]
    assert "drill_nursery" not in jobs
    assert jobs["train_cnns"] == 3 * 2  # taxonomies and protocols
    assert jobs["extract_attention"] == 16


def test_the_plan_is_printed_whenever_it_is_asked_for(planned: tuple[Checkout, str]) -> None:
    checkout, first = planned
    again = checkout.snakemake("plan", "--configfile", "population/study.yaml").stdout
    for text in (first, again):
        assert "gpu_hours" in text
        assert "extract_attention" in text
    assert "read_scored" not in again.partition("gpu_hours")[0]


@pytest.mark.parametrize(
    ("study", "fetched"), [("smollm2", "fetch_model"), ("smollm2-crossed", "fetch_base")]
)
def test_a_model_from_a_package_is_planned_from_its_configuration_alone(
    study: str, fetched: str, tmp_path: Path
) -> None:
    planned = copy_project(tmp_path).planned("--configfile", f"studies/{study}.yaml", "--", "plan")
    assert planned == {fetched: 1, "plan_study": 1, "plan": 1}


def of_packages(name: str, model: Path, **keys: object) -> dict[str, object]:
    """A model whose candidates are new lines of a package that nobody downloads."""
    return {
        "name": name,
        "source": "packages",
        "model": str(model),
        "released": "2024-11-01",
        "releases": [{"name": "some-package", "version": "1.0", "released": "2025-01-01"}],
        "unseen": {"code": {"low": 700, "high": 300}, "prose": {"low": 30, "high": 20}},
        "repeated": {"low": 50, "high": 5},
        "shards": 1,
        **keys,
    }


def test_windows_of_packages_are_bounded_before_they_are_cut(tmp_path: Path) -> None:
    model = tmp_path / "llama"
    tiny_model("llama", context=128).save_pretrained(model)
    byte_tokenizer().save_pretrained(model)
    (tmp_path / "copy").mkdir()
    checkout = copy_project(tmp_path / "copy")
    crossed = {"low": 40, "high": 20, "guessed": 10, "asked": {"low": 90, "high": 60}}
    drilling = {"design": "crossed", "crossed": crossed}
    models = [
        of_packages("plain", model),
        of_packages("first", model, arm=1, counterpart="second", drilling=drilling),
        of_packages("second", model, arm=2, counterpart="first", drilling=drilling),
    ]
    taxonomies = ["Non-Memo, Guess, Others"]
    checkout.configure(models=models, taxonomies=taxonomies, flow=[], knockout={})
    said = checkout.snakemake("plan").stdout
    assert "these are counted, too): first, plain, second." in said
    assert "Drilling is not counted." in said
    plan = pd.read_csv(checkout.folder / "results/tiny/tables/plan.csv").set_index("model")
    assert plan["candidates"].to_dict() == {
        "plain": 1105,
        "first": 70,
        "second": 70,
        "all models": 1245,
    }
    # 30 of each of three classes at most; a pair also has the maps of its design.
    sequences = plan["sequences"].drop("all models").to_dict()
    assert sequences == {"plain": 90, "first": 70 + 70, "second": 70 + 70}
    forwards = (plan["pflop"] / plan["tflop_per_forward"] * 1000).dropna()
    # Extracted, continued, scored and decoded; the pair's by both models, after the base.
    assert forwards.to_dict() == pytest.approx(
        {
            "plain": 90 + 30 + 2 * 1105,
            "first": 140 + 30 + 3 * 70 + 150,
            "second": 140 + 30 + 3 * 70,
        },
        rel=1e-4,
    )


def local_rules() -> set[str]:
    """Rules that run where Snakemake runs: those of rules/local.smk, and those that say so
    themselves.
    """
    listed = re.findall(r"^    (\w+),$", (ROOT / "rules/local.smk").read_text(), flags=re.MULTILINE)
    written = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    parts = re.split(r"^(?:use rule \w+ as|rule) (\w+)", written, flags=re.MULTILINE)
    return {
        *listed,
        "all",
        *(
            name
            for name, body in zip(parts[1::2], parts[2::2], strict=True)
            if "localrule: True" in body
        ),
    }


def test_the_paper_is_at_most_700_submissions(tmp_path: Path) -> None:
    checkout = copy_project(tmp_path)
    screen = checkout.snakemake(
        "-n", "--quiet", "rules", "--configfile", "studies/paper.yaml"
    ).stdout
    table = re.findall(r"^(\w+)\s+(\d+)$", screen.partition("\ntotal ")[0], flags=re.MULTILINE)
    jobs = Counter({rule: int(count) for rule, count in table})
    submitted = sum(count for rule, count in jobs.items() if rule not in local_rules())
    assert jobs["train_cnns"] == 462
    assert 462 < submitted <= 700
