"""The page of a study: its size, its parts, what it says, and that it needs nothing else."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_maps import dequantize
from synthetic_study import PREFIX, TAXONOMIES, TOKENS, write_study

from engram.explorer.blocks import MEGABYTE
from engram.explorer.content import ExplorerStudy, collect
from engram.explorer.maps import encode, quantize
from engram.explorer.page import render, write_page
from engram.explorer.predictions import sample_probabilities
from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.saliency.file import read_saliency
from engram.store.index import AttentionStore


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ExplorerStudy:
    return write_study(
        tmp_path_factory.mktemp("study"),
        models=("one", "two"),
        protocols=("engram", "paper"),
        samples=12,
        openings={"two": (0,)},
    )


@pytest.fixture(scope="module")
def collected(written: ExplorerStudy) -> tuple[dict, dict]:
    return collect(written)


def smaller(study: ExplorerStudy, megabytes: float) -> ExplorerStudy:
    """The study with a smaller page than a config may ask for."""
    return replace(study, page=study.page.model_copy(update={"megabytes": megabytes}))


def block(collected: tuple[dict, dict], name: str, maps: int) -> np.ndarray:
    """A block's bytes, (maps, P)."""
    return np.frombuffer(zlib.decompress(base64.b64decode(collected[1][name])), np.uint8).reshape(
        maps, -1
    )


def test_the_maps_are_the_store_s(written: ExplorerStudy, collected: tuple[dict, dict]) -> None:
    sample = collected[0]["models"][0]["samples"][2]
    folder = written.root / "one" / "attention"
    store = AttentionStore(folder / "index.parquet")
    poolings = collected[0]["models"][0]["poolings"]
    levels = block(collected, sample["block"], 8).reshape(2, 4, -1)
    for number, pooling in enumerate(poolings):
        shown = dequantize(levels[number], np.array(sample["maxima"][pooling], np.float32))
        assert np.abs(shown - store.read([int(sample["id"])], pooling)[0]).max() < 1 / 255 + 1e-5


def test_a_token_that_is_read_first_has_its_row(collected: tuple[dict, dict]) -> None:
    one, two = collected[0]["models"]
    for model, opening in ((one, 0), (two, 1)):
        assert model["opening"] == opening
        sample = model["samples"][0]
        side = opening + TOKENS
        assert len(sample["tokens"]) == side
        assert len(sample["matched"]) == TOKENS - PREFIX
        assert block(collected, sample["block"], 8).shape[1] == side * (side + 1) // 2
    assert two["samples"][0]["tokens"][0] == "<|endoftext|>"


def test_blockwise_maps_come_with_their_rows(tmp_path: Path) -> None:
    study = write_study(tmp_path, samples=6, openings={"nursery": (0,)}, block=5)
    blocks = collect(study)
    (model,) = blocks[0]["models"]
    assert model["edges"] == [0, *range(1, 33, 5), *range(33, 65, 5), 65]
    sample, side = model["samples"][0], len(model["edges"]) - 1
    assert len(sample["tokens"]) == 1 + TOKENS
    assert block(blocks, sample["block"], 8).shape[1] == side * (side + 1) // 2
    (entry,) = model["views"][0]["delta"]
    assert block(blocks, entry["block"], 12).shape[1] == side * (side + 1) // 2


def test_delta_is_the_saliency_file_s(written: ExplorerStudy, collected: tuple[dict, dict]) -> None:
    view = collected[0]["models"][1]["views"][1]
    entry = view["delta"][0]
    found = read_saliency(
        written.root / "two" / view["protocol"] / "saliency" / f"{view['taxonomy']}.h5", "guided"
    )
    levels = block(collected, entry["block"], len(view["classes"]) * 4).reshape(found.delta.shape)
    shown = dequantize(levels, np.array(entry["maxima"], np.float32))
    assert np.abs(shown - found.delta).max() < found.delta.max() / 200
    assert np.allclose(np.sum(entry["share"], axis=1), 1, atol=0.01)


def test_samples_are_test_samples_of_every_class(
    written: ExplorerStudy, collected: tuple[dict, dict]
) -> None:
    for model in collected[0]["models"]:
        folder = written.root / model["name"] / "engram" / "samples"
        lists = {slug: read_parquet(folder / f"{slug}.parquet") for slug in TAXONOMIES}
        known = {
            (slug, row.sequence_id): row.class_
            for slug, samples in lists.items()
            for row in samples.rename(columns={"class": "class_"}).itertuples()
            if row.split == "test"
        }
        for number, view in enumerate(model["views"]):
            found = {
                (int(sample["id"]), sample["places"][str(number)]["class"])
                for sample in model["samples"]
                if str(number) in sample["places"]
            }
            assert {kind for _, kind in found} == set(range(len(view["classes"])))
            assert all(
                known[view["taxonomy"], sequence] == view["classes"][kind]
                for sequence, kind in found
            )


def test_probabilities_are_the_softmax_of_the_logits(written: ExplorerStudy) -> None:
    slug = next(iter(TAXONOMIES))
    predictions = read_parquet(
        written.root / "one" / "engram" / "cnns" / slug / "predictions.parquet"
    )
    row = predictions[predictions["split"] == "test"].iloc[0]
    runs = sample_probabilities(predictions, np.array([row["sequence_id"]]))[row["sequence_id"]]
    odds = np.exp(row["logits"])
    assert runs[0]["cnns"][0]["p"] == pytest.approx(odds / odds.sum(), abs=1e-4)
    assert runs[0]["mean"] == pytest.approx(
        np.mean([cnn["p"] for cnn in runs[0]["cnns"]], axis=0), abs=1e-4
    )
    assert [(run["input"], run["labels"]) for run in runs] == [
        ("attention", "real"),
        ("token_identity", "real"),
        ("attention", "shuffled"),
    ]


def test_matched_tokens_are_those_of_the_corpus(collected: tuple[dict, dict]) -> None:
    for sample in collected[0]["models"][0]["samples"]:
        if sample["corpus"] is None:
            assert all(sample["matched"])
        else:
            assert [
                a == b for a, b in zip(sample["tokens"][32:], sample["corpus"], strict=True)
            ] == [bool(m) for m in sample["matched"]]


def test_the_truth_is_the_twin_s(written: ExplorerStudy, collected: tuple[dict, dict]) -> None:
    labels = read_parquet(written.root / "one" / "labels.parquet").set_index("sequence_id")
    for sample in collected[0]["models"][0]["samples"]:
        row = labels.loc[int(sample["id"])]
        memorized = "guessed" if row["twin_extracted"] else "recalled"
        assert sample["truth"] == (memorized if row["memorization_score"] == 1 else "not memorized")


def test_the_same_study_gives_the_same_page(
    written: ExplorerStudy, collected: tuple[dict, dict]
) -> None:
    assert render(*collect(written)) == render(*collected)


def test_the_page_asks_for_nothing(collected: tuple[dict, dict]) -> None:
    page = render(*collected)
    assert not re.search(r"""(?:src|href)=["'](?!data:)|@import|url\(""", page)
    assert "default-src 'none'" in page


def test_no_text_of_a_sample_can_end_its_element(collected: tuple[dict, dict]) -> None:
    study = json.loads(json.dumps(collected[0]))
    study["models"][0]["samples"][0]["tokens"][0] = "</script><!--<script>"
    page = render(study, collected[1])
    inside = re.search(
        r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL
    )
    assert inside and json.loads(inside[1]) == study


def test_delta_that_does_not_fit_is_left_out_and_said_to_be(written: ExplorerStudy) -> None:
    samples = sum(len(text) for name, text in collect(written)[1].items() if "-s" in name[:5])
    study, blocks = collect(smaller(written, (samples + 60_000) / 0.97 / MEGABYTE))
    left_out = [
        view["without_delta"]
        for model in study["models"]
        for view in model["views"]
        if not view["delta"]
    ]
    assert left_out and all("did not fit" in reason for reason in left_out)
    assert len(left_out) < 8 and sum(map(len, blocks.values())) <= samples + 60_000


def test_the_page_s_ids_are_those_of_the_study(
    written: ExplorerStudy, collected: tuple[dict, dict]
) -> None:
    """JavaScript reads numbers as doubles: 7076739947371468397 becomes …469000."""
    page = render(*collected)
    data = re.search(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)
    assert data
    # As a browser reads it: every number is a double.
    study = json.loads(data[1], parse_int=float)
    for model in study["models"]:
        ids = [sample["id"] for sample in model["samples"]]
        known = read_parquet(written.root / model["name"] / "labels.parquet")["sequence_id"]
        assert len(set(ids)) == len(ids) == 6
        assert set(ids) <= set(map(str, known))
        assert min(map(int, ids)) > 2**53


def test_no_number_of_the_page_is_beyond_doubles(collected: tuple[dict, dict]) -> None:
    def every(value: object) -> list[object]:
        if isinstance(value, dict):
            return [inner for item in value.values() for inner in every(item)]
        if isinstance(value, list):
            return [inner for item in value for inner in every(item)]
        return [value]

    numbers = [value for value in every(collected[0]) if isinstance(value, int)]
    assert max(numbers) < 2**53


def test_samples_that_do_not_fit_are_an_error(written: ExplorerStudy) -> None:
    with pytest.raises(EngramError, match=r"lower explorer\.samples"):
        collect(smaller(written, 0.05))


def test_a_page_that_is_too_large_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(EngramError, match=r"explorer\.megabytes"):
        write_page("x" * 2_000_000, tmp_path / "explorer.html", 1)
    assert not list(tmp_path.iterdir())


def test_a_taxonomy_that_is_not_localized_says_so(written: ExplorerStudy) -> None:
    study, _ = collect(replace(written, localized=[]))
    assert "saliency.localize" in study["models"][0]["views"][0]["without_delta"]


def test_a_number_that_is_none_is_an_error(collected: tuple[dict, dict]) -> None:
    with pytest.raises(EngramError, match="NaN"):
        render({**collected[0], "prefix": float("nan")}, {})


def test_a_hundred_samples_of_36_layers_fit_even_where_nothing_can_be_compressed() -> None:
    """The shape of Pythia-12b: 36 layers, 64 tokens, two maps; cells without any structure, the
    worst case of deflate.
    """
    random = np.random.default_rng(0)
    size = sum(len(encode(quantize(random.random((2, 36, 2080)))[0])) for _ in range(10)) * 10
    assert size < 0.97 * 25 * MEGABYTE


def test_losses_are_the_intact_model_s_values_less_the_damaged_one_s(
    written: ExplorerStudy, collected: tuple[dict, dict]
) -> None:
    slug, model = written.knocked_out[0], collected[0]["models"][0]
    results = read_parquet(
        written.root / "one" / "engram" / "knockout" / f"{slug}.parquet"
    ).set_index(["kind", "region"])
    knockout, classes = model["views"][0]["knockout"], model["views"][0]["classes"]
    found = knockout["layers"]["remove"]["extracted"]
    for kind, name in enumerate(classes):
        damaged = results.loc[("layer", "3")].groupby("class")["extracted"].get_group(name).mean()
        assert found["loss"][kind][2] == pytest.approx(1 - damaged, abs=1e-4)
        assert found["low"][kind][2] <= found["loss"][kind][2] <= found["high"][kind][2]
        head = (
            results.loc[("head", "2.4")].groupby("class")["matched_fraction"].get_group(name).mean()
        )
        assert knockout["heads"]["remove"]["matched_fraction"][kind][1][3] == pytest.approx(
            1 - head, abs=1e-4
        )
    sample = next(
        sample for sample in model["samples"] if "knockout" in sample["places"].get("0", {})
    )
    damaged = (
        results.loc[("layer", "2")]
        .query(f"sequence_id == {sample['id']}")["suffix_log_prob"]
        .iloc[0]
    )
    assert sample["places"]["0"]["knockout"]["remove"]["suffix_log_prob"][1] == pytest.approx(
        -1.5 - damaged, abs=1e-3
    )


def test_a_taxonomy_without_a_knock_out_has_none(collected: tuple[dict, dict]) -> None:
    assert collected[0]["models"][0]["views"][1]["knockout"] is None


def test_the_log_probability_is_that_of_the_text_shown(collected: tuple[dict, dict]) -> None:
    for sample in collected[0]["models"][0]["samples"]:
        assert (
            dict(sample["facts"])["Log-probability of the suffix shown (nats per token)"] == "-1.50"
        )
