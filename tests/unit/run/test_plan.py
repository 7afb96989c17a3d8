"""The plan: operations as torch counts them, bytes as files have them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tiny_language_model import word_tokenizer
from tiny_models import gpt_neox, llama_grouped
from torch.utils.flop_counter import FlopCounterMode

from engram.io.errors import EngramError
from engram.lm.inputs import write_opening
from engram.run.plan import (
    PYTHIA,
    Rates,
    Shape,
    bytes_per_sequence,
    count_parameters,
    model_shape,
    most_samples,
    plan_model,
    plan_text,
    planned_opening,
    pythia_config,
    shape_of,
    with_total,
)
from engram.sources.published_shapes import SHAPES, known_by_name
from engram.store.attention_file import COLUMNS, KEY_BYTES, Header, new_attention_file
from engram.taxonomy.pool import OWN, displayed_own

ROOT = Path(__file__).parents[3]
WINDOW, PREFIX = 16, 8
PAPER = "EleutherAI/pythia-12b-deduped-v0"


@pytest.mark.parametrize("build", [gpt_neox, llama_grouped])
def test_operations_are_those_that_torch_counts(build) -> None:
    model = build()
    model.set_attn_implementation("eager")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.ones(1, WINDOW, dtype=torch.long), logits_to_keep=PREFIX)
    assert shape_of(model.config).forward_flops(WINDOW, PREFIX) == pytest.approx(
        counter.get_total_flops(), rel=0.02
    )  # rotary tables are small


@pytest.mark.parametrize(
    ("size", "billions"),
    [("70m", 0.019), ("160m", 0.085), ("2.8b", 2.517), ("6.9b", 6.444), ("12b", 11.327)],
)
def test_known_shapes_have_the_published_parameters(size: str, billions: float) -> None:
    config = pythia_config(f"EleutherAI/pythia-{size}-deduped-v0")
    shape = shape_of(config)
    assert (shape.layers, shape.width, shape.heads) == PYTHIA[size][:3]
    assert shape.weights / 1e9 == pytest.approx(
        billions, rel=0.02
    )  # Biderman et al. 2023, table 1: non-embedding parameters


@pytest.mark.parametrize(("size", "count"), [("70m", 70_426_624), ("160m", 162_322_944)])
def test_parameters_are_all_weights(size: str, count: int) -> None:
    assert count_parameters(None, f"EleutherAI/pythia-{size}") == count


def test_the_largest_model_of_the_paper() -> None:
    shape = model_shape(None, PAPER)
    assert shape.forward_flops(64, 32) / 1e12 == pytest.approx(1.5, rel=0.03)
    assert bytes_per_sequence(shape, 32, 32, "float16") <= 300_000
    assert bytes_per_sequence(shape, 32, 32, "float32") <= 450_000


@pytest.mark.parametrize("opening", [(), (5,)])
@pytest.mark.parametrize("mean_dtype", ["float16", "float32"])
@pytest.mark.parametrize("block", [1, 4])
def test_bytes_are_those_of_a_file(
    tmp_path: Path, mean_dtype: str, opening: tuple[int, ...], block: int
) -> None:
    shape, sizes = Shape(3, 4, 32, 1, 1), []
    window = (PREFIX, WINDOW - PREFIX)
    sizes_of = (*window, shape.layers, shape.heads)
    header = Header("m", "f", "float32", *sizes_of, mean_dtype, opening, block)
    for rows in (100, 300):
        columns = {name: np.zeros(rows, dtype) for name, dtype in COLUMNS.items()} | {
            "key": np.zeros((rows, KEY_BYTES), np.uint8)
        }
        maps = np.zeros((rows, shape.layers, header.packed), np.float16)
        with new_attention_file(tmp_path / "shard.h5", rows, header) as writer:
            writer.write(range(rows), {"max": maps, "mean": maps}, columns)
        sizes.append((tmp_path / "shard.h5").stat().st_size)
    assert (sizes[1] - sizes[0]) / 200 == pytest.approx(
        bytes_per_sequence(shape, *window, mean_dtype, opening, block), rel=1e-3
    )


@pytest.mark.parametrize(
    ("size", "layers", "width", "billions"), [("1b", 16, 2048, 0.973), ("8b", 36, 4096, 7.851)]
)
def test_hubble_is_known_by_name(size: str, layers: int, width: int, billions: float) -> None:
    for kind in ("standard", "perturbed"):
        shape = model_shape(None, f"allegrolab/hubble-{size}-100b_toks-{kind}-hf")
        assert (shape.layers, shape.width, shape.heads) == (layers, width, 32)
        assert shape.weights / 1e9 == pytest.approx(billions, rel=1e-3)  # layers alone
        assert shape.head_weights == 50_304 * width
    with pytest.raises(EngramError, match="only EleutherAI/pythia-… and allegrolab/hubble-…"):
        model_shape(None, f"allegrolab/hubble-{size}-100b_toks-standard-neox")


@pytest.mark.parametrize(
    ("repository", "billions"),
    [
        ("allenai/OLMo-1B-hf", 1.18),
        ("allenai/OLMo-7B-hf", 6.89),
        ("allenai/OLMo-2-0425-1B", 1.48),
        ("allenai/OLMo-2-1124-7B", 7.30),
        ("allenai/OLMo-2-1124-13B", 13.7),
        ("allenai/OLMo-2-0325-32B", 32.2),
        ("allenai/Olmo-3-1025-7B", 7.30),
        ("allenai/Olmo-3-1125-32B", 32.2),
        ("openlm-research/open_llama_3b", 3.43),
        ("openlm-research/open_llama_7b", 6.74),
        ("openlm-research/open_llama_13b", 13.0),
        ("bigcode/starcoderbase-1b", 1.14),
        ("bigcode/starcoderbase-3b", 3.04),
        ("bigcode/starcoderbase-7b", 7.33),
    ],
)
def test_listed_models_have_the_stated_number_of_weights(repository: str, billions: float) -> None:
    assert count_parameters(None, repository) / 1e9 == pytest.approx(billions, rel=0.005)
    assert model_shape(None, repository).layers == SHAPES[repository].layers
    assert known_by_name(repository)


def test_every_model_of_the_published_families_is_known_by_name() -> None:
    study = yaml.safe_load((ROOT / "studies/families.yaml").read_text(encoding="utf-8"))
    names = [model["model"] for model in study["models"]]
    assert len(names) == len(set(names)) == 20
    assert all(map(known_by_name, names))
    assert not known_by_name("someone/model")


def test_before_windows_are_scored_the_plan_is_an_upper_bound() -> None:
    lists = [["Non-Memo", "Recalled", "Guessed"], ["Recalled", "Guessed"]]
    samples = most_samples(lists, protocols=2, per_class=10, candidates=200)
    shape, rates = Shape(2, 4, 8, 1000, 100), Rates(forward=1e6, continuation=1e5)
    arguments = (samples, 200, shape, (8, 8), "float32", rates)
    plan = plan_model(*arguments, scored=(400, 200))
    counts = {key: plan[key] for key in ("drawn", "sequences", "continued")}
    assert counts == {"drawn": 100, "sequences": 50, "continued": 10}
    forward = shape.forward_flops(16, 8)
    assert plan["pflop"] == pytest.approx(forward * (50 + 10 + 600) / 1e15)
    assert plan["gpu_hours"] * 3600 == pytest.approx(450 * forward / 1e6 + 210 * forward / 1e5)
    assert most_samples(lists, 1, 10, candidates=7)["sequence_id"].nunique() == 7
    overlapping = most_samples([["Guess", "Non-Memo"]] * 2, 1, 10, candidates=25)
    assert len(displayed_own(overlapping, OWN)) == 20
    table = with_total(pd.DataFrame([{"model": "a", **plan, "at_most": "yes"}]))
    jobs = pd.DataFrame({"rule": ["x"], "jobs": [1]})
    assert "have no scores yet (these are counted, too): a." in plan_text(table, jobs, rates)
    table = with_total(pd.DataFrame([{"model": "a", **plan_model(*arguments)}]))
    text = plan_text(table, jobs, rates)
    assert "At most" not in text and "Drilling" not in text
    drilled = plan_text(table, jobs.assign(rule="drill_model"), rates)
    assert "Drilling is not counted." in drilled


def test_maps_of_a_pair_are_counted_on_their_own() -> None:
    samples = pd.DataFrame({"sequence_id": [1], "class": ["Guess"], "lists": [1]})
    shape, rates = Shape(2, 4, 8, 1000, 100), Rates(forward=1e6, continuation=1e5)
    plan = plan_model(samples, 50, shape, (8, 8), "float32", rates, paired=6)
    assert (plan["drawn"], plan["sequences"], plan["continued"]) == (1, 7, 0)
    assert plan["gb_on_disk"] == pytest.approx(7 * plan["kb_per_sequence"] / 1e6)
    assert plan["pflop"] == pytest.approx(7 * shape.forward_flops(16, 8) / 1e15)


def test_what_a_model_reads_first_is_planned(tmp_path: Path) -> None:
    word_tokenizer((3, 4), bos_token="w7").save_pretrained(tmp_path)
    assert planned_opening(tmp_path, "auto") == (3, 4)
    assert planned_opening(tmp_path, False) == ()
    write_opening(tmp_path, (9,), "auto")
    assert planned_opening(tmp_path, "auto") == (9,)
    assert (planned_opening(None, "auto"), planned_opening(None, True)) == ((), (0,))
    samples = pd.DataFrame({"sequence_id": [1], "class": ["Guess"], "lists": [1]})
    shape, rates = Shape(2, 4, 8, 1000, 100), Rates(forward=1e6, continuation=1e5)
    plan = plan_model(samples, 50, shape, (8, 8), "float32", rates, (9,))
    assert plan["pflop"] == pytest.approx(shape.forward_flops(17, 8) / 1e15)
    assert (
        plan["kb_per_sequence"]
        > plan_model(samples, 50, shape, (8, 8), "float32", rates)["kb_per_sequence"]
    )


def test_a_sequence_is_counted_once_and_continuations_apart() -> None:
    samples = pd.DataFrame(
        {
            "sequence_id": [1, 2, 2, 3],
            "class": ["Non-Memo", "Guess", "Recite[5]", "Non-Memo"],
            "lists": [1, 1, 1, 3],
        }
    )
    shape, rates = Shape(2, 4, 8, 1000, 100), Rates(forward=1e6, continuation=1e5)
    plan = plan_model(samples, 50, shape, (8, 8), "float32", rates)
    assert {key: plan[key] for key in ("candidates", "drawn", "sequences", "continued")} == {
        "candidates": 50,
        "drawn": 6,
        "sequences": 3,
        "continued": 2,
    }
    forward = shape.forward_flops(16, 8)
    assert plan["gpu_hours"] * 3600 == pytest.approx(3 * forward / 1e6 + 2 * forward / 1e5)
    total = with_total(pd.DataFrame([{"model": "a", **plan}, {"model": "b", **plan}])).iloc[-1]
    assert (total["sequences"], total["gb_on_disk"]) == (6, pytest.approx(2 * plan["gb_on_disk"]))
    assert pd.isna(total["layers"])


def test_forwards_of_the_prior_are_counted() -> None:
    samples = pd.DataFrame({"sequence_id": [1], "class": ["Guess"], "lists": [1]})
    shape, rates = Shape(2, 4, 8, 1000, 100), Rates(forward=1e6, continuation=1e5)
    plan = plan_model(samples, 50, shape, (8, 8), "float32", rates, prior_forwards=90)
    assert plan["prior_forwards"] == 90
    assert plan["pflop"] == pytest.approx(91 * shape.forward_flops(16, 8) / 1e15)
    assert plan["gpu_hours"] * 3600 == pytest.approx(91 * shape.forward_flops(16, 8) / 1e6)


def test_a_model_that_nothing_is_known_of_is_refused() -> None:
    with pytest.raises(EngramError, match=r"model someone/model: its config\.json is not at hand"):
        model_shape(None, "someone/model")


def test_a_broken_configuration_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EngramError, match=r"its config\.json cannot be used"):
        model_shape(tmp_path, "")
