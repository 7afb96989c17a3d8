"""A finished study, opened: what its files hold, in the layouts of today and of before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_language_model import PREFIX, SUFFIX, some_tokens, tiny_lm
from tiny_models import LAYERS, gpt_neox

from engram.api.attention import attention
from engram.api.content import all_halves
from engram.api.knocking_out import knock_out
from engram.api.study import Study
from engram.api.study import open as open_study
from engram.cnn.network import Architecture, AttentionCNN
from engram.io.artifacts import write_csv, write_parquet
from engram.io.errors import EngramError
from engram.saliency.delta import saliency_of_grid
from engram.saliency.delta_shares import draw_shares, layer_shares
from engram.saliency.file import write_saliency
from engram.store.index import read_verification, write_index
from engram.store.shards import ExtractionSettings, ModelSource, build_shard, shard_of

N = 24
IDS = np.arange(100, 100 + N)
NAMES = {
    "non-memo_guess_others": ("Non-Memo, Guess, Others", ["Non-Memo", "Guess", "Others"]),
    "non-memo_others": ("Non-Memo, Others", ["Non-Memo", "Others"]),
}
SLUG = "non-memo_guess_others"
CANDIDATES = some_tokens(N)
NON_MEMO = np.arange(N) % 3 == 0
STUDIED = np.where(NON_MEMO[:, None], some_tokens(N, seed=1), CANDIDATES)
STUDIED[:, :PREFIX] = CANDIDATES[:, :PREFIX]
"""Non-Memo samples are studied with another suffix than the corpus has."""
CONFIG = {
    "study": "tiny",
    "seed": 1,
    "prefix": PREFIX,
    "suffix": SUFFIX,
    "models": [{"name": "m"}],
    "protocols": ["paper"],
    "categories": [],
    "saliency": {"methods": ["guided", "gradient"]},
    "statistics": {"resamples": 50, "confidence": 0.95},
}

EXTRACTION = ExtractionSettings(prefix=PREFIX, mean_dtype="float32", batch_tokens=4096)


def sample_list(slug: str) -> pd.DataFrame:
    classes = NAMES[slug][1]
    number = np.where(NON_MEMO, 0, 1 + np.arange(N) % (len(classes) - 1))
    return pd.DataFrame(
        {
            "sequence_id": IDS,
            "class": np.array(classes, object)[number],
            "split": np.where(np.arange(N) < 12, "train", "test"),
            "priority": np.arange(N) / N,
        }
    )


def write_samples(folder: Path, layout: str) -> None:
    if layout == "one file":
        lists = [sample_list(slug).assign(taxonomy=slug) for slug in NAMES]
        write_parquet(pd.concat(lists, ignore_index=True), folder / "samples.parquet")
    else:
        for slug in NAMES:
            write_parquet(sample_list(slug), folder / f"samples/{slug}.parquet")
        write_parquet(sample_list(SLUG), folder / "samples/search.parquet")


@pytest.fixture(scope="module", params=["one file", "a file per taxonomy"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/tiny: the tiny model's attention of 24 sequences, and Δ of an untrained CNN."""
    root = tmp_path_factory.mktemp("study") / "results/tiny"
    (root / "tables").mkdir(parents=True)
    (root / "run.json").write_text(json.dumps({"config": CONFIG}))
    rows = [
        {"model": "m", "protocol": "paper", "taxonomy": name, "slug": slug, "input": "attention"}
        | {"labels": "real", "balanced_accuracy": 0.5, "balanced_accuracy_low": 0.4}
        | {"balanced_accuracy_high": 0.6, "n": 12}
        for slug, (name, _) in NAMES.items()
    ]
    write_csv(pd.DataFrame(rows), root / "tables/scores.csv")
    write_csv(pd.DataFrame({"class": ["Guess"], "candidates": [8]}), root / "tables/counts.csv")
    model = root / "m"
    frame = pd.DataFrame({"sequence_id": IDS})
    write_parquet(frame.assign(tokens=CANDIDATES.tolist()), model / "candidates.parquet")
    written = frame.assign(tokens=STUDIED.tolist())[NON_MEMO]
    write_parquet(written, model / "continuations.parquet")
    write_parquet(frame.assign(rouge_l=0.5), model / "labels.parquet")
    write_samples(model / "paper", request.param)
    source = ModelSource("tiny", "f" * 24, gpt_neox)
    shards = []
    for shard in range(2):
        mine = shard_of(IDS, 2) == shard
        sequences = pd.DataFrame({"sequence_id": IDS[mine], "tokens": list(STUDIED[mine])})
        shards.append(model / f"attention/shard-{shard}.h5")
        build_shard(source, sequences, root.parent / ".parts", shards[-1], EXTRACTION)
    write_index(shards, model / "attention/index.parquet")
    write_parquet(read_verification(shards), model / "attention/verification.parquet")
    maps = attention(tiny_lm(), STUDIED, PREFIX, SUFFIX)
    cnn = AttentionCNN.of(Architecture(3, 4), LAYERS, 3, PREFIX + SUFFIX)
    cnn.initialize(0)
    label = pd.Categorical(sample_list(SLUG)["class"], categories=NAMES[SLUG][1]).codes
    saliency = saliency_of_grid(
        {"k3-f4-mean/0": cnn.eval()},
        maps.packed_mean[12:],
        maps.packed_max[12:],
        label[12:],
        NAMES[SLUG][1],
        ["guided", "gradient"],
        PREFIX,
    )
    write_saliency(model / f"paper/saliency/{SLUG}.h5", saliency, NAMES[SLUG][0])
    return root


@pytest.fixture
def study(folder: Path) -> Study:
    return open_study(folder)


def test_a_study_says_what_it_holds(study: Study) -> None:
    assert repr(study) == (
        "Study tiny: models m; protocols paper; taxonomies 2; window 8 + 8 tokens; "
        "tables counts, scores"
    )
    assert "<strong>Study tiny</strong>" in study._repr_html_()
    assert (study.name, study.models, study.protocols) == ("tiny", ["m"], ["paper"])
    assert study.config["seed"] == 1
    assert study.taxonomies() == list(NAMES)


def test_tables_are_frames_by_name(study: Study, folder: Path) -> None:
    assert list(study.tables) == ["counts", "scores"] and len(study.tables) == 2
    assert repr(study.tables) == "Tables: counts, scores"
    pd.testing.assert_frame_equal(study.scores, pd.read_csv(folder / "tables/scores.csv"))
    assert study.tables["counts"].loc[0, "candidates"] == 8
    assert study.tables.get("counts") is not None and "none" not in study.tables


@pytest.mark.parametrize("name", [SLUG, NAMES[SLUG][0], "Non-Memo, Others"])
def test_samples_are_those_of_the_taxonomy(study: Study, name: str) -> None:
    slug = SLUG if name != "Non-Memo, Others" else "non-memo_others"
    expected = sample_list(slug).set_index("sequence_id")
    pd.testing.assert_frame_equal(study.samples(name), expected, check_dtype=False)
    assert study.labels().index.tolist() == IDS.tolist()


def test_attention_is_that_of_the_text_that_was_studied(study: Study) -> None:
    ids = IDS[[7, 0, 23]]
    maps = study.attention(ids)
    np.testing.assert_array_equal(maps.tokens, STUDIED[[7, 0, 23]])
    expected = attention(tiny_lm(), STUDIED[[7, 0, 23]], PREFIX, SUFFIX)
    np.testing.assert_allclose(maps.packed_mean, expected.packed_mean, atol=1e-6)
    np.testing.assert_allclose(maps.packed_max, expected.packed_max, atol=1e-3)
    assert maps.index.tolist() == maps.verification.index.tolist() == ids.tolist()
    assert maps.model == "m" and maps.prefix == PREFIX
    np.testing.assert_allclose(
        maps.verification["suffix_log_prob"], expected.verification["suffix_log_prob"], rtol=1e-4
    )
    assert study.attention(IDS[3], lm=tiny_lm()).heads(0).shape[0] == LAYERS


def test_delta_is_that_of_the_file(study: Study) -> None:
    delta = study.delta(NAMES[SLUG][0])
    assert (delta.method, delta.classes) == ("guided", NAMES[SLUG][1])
    expected = layer_shares(draw_shares(delta.saliency, 50, 0.95, 1))
    pd.testing.assert_frame_equal(delta.layers, expected)
    assert delta.scores["balanced_accuracy"].tolist() == [0.5]
    assert len(delta.samples) == N and delta.chosen_by == all_halves(STUDIED, PREFIX)
    assert "Δ guided, 1 CNNs, 12 texts" in repr(delta)
    other = study.delta(SLUG, "gradient")
    assert other.method == "gradient" and (other.delta() != delta.delta()).any()


def test_what_chose_a_study_s_region_is_refused(study: Study) -> None:
    region = study.delta(SLUG).top(0.05)
    with pytest.raises(EngramError, match=r"held_out: 24 of 24 texts chose the region"):
        knock_out(tiny_lm(), CANDIDATES, PREFIX, SUFFIX, cells=region)
    assert len(knock_out(tiny_lm(), some_tokens(3, seed=5), PREFIX, SUFFIX, cells=region)) == 3


def test_samples_that_were_dropped_chose_nothing(folder: Path) -> None:
    """The protocol engram drops what the model does not reproduce: here, everything."""
    study = Study(folder, {"config": CONFIG})
    kept = study._used(SLUG, "m", "paper")
    assert len(kept) == N
    engram = folder / "m/engram"
    if not engram.exists():
        engram.symlink_to("paper")
    dropping = Study(folder, {"config": CONFIG | {"protocols": ["engram"]}})
    assert dropping._used(SLUG, "m", "engram").empty


def test_errors_are_one_line(study: Study, tmp_path: Path) -> None:
    unfinished, broken, other = (tmp_path / name for name in ("unfinished", "broken", "other"))
    for path, text in ((unfinished, None), (broken, "{"), (other, '{"config": {}}')):
        path.mkdir()
        if text:
            (path / "run.json").write_text(text)
    two = Study(study.folder, {"config": CONFIG | {"models": [{"name": "m"}, {"name": "n"}]}})
    for call, message in (
        (lambda: open_study(tmp_path / "none"), "no such folder; finished studies lie in results/"),
        (lambda: open_study(unfinished), "no run.json in it; run the study to its end"),
        (lambda: open_study(broken), "run.json: cannot be read"),
        (lambda: open_study(other), "its config lacks models, prefix, protocols, study"),
        (lambda: study.tables["none"], "table 'none': the study has counts, scores"),
        (lambda: study.samples("Non-Memo, Code, Others"), "the study has non-memo_guess_others, "),
        (lambda: study.samples("search"), "unknown class `search`"),
        (lambda: study.samples(SLUG, model="x"), "model: 'x'; the study has m"),
        (lambda: study.samples(SLUG, protocol="x"), "protocol: 'x'; the study has paper"),
        (lambda: two.samples(SLUG), "model: none; the study has m, n"),
        (lambda: two.labels("n"), "labels.parquet: no such file; run the study to its end"),
        (lambda: study.attention([7]), "1 of 1 sequences are not in it"),
        (lambda: study.attention(IDS[0]).heads(0), "the model m is not at hand"),
        (lambda: study.attention(IDS[0], lm="m"), "lm: a str"),
        (lambda: study.delta("non-memo_others"), f"no such file; localized are {SLUG}"),
        (lambda: study.delta(SLUG, "gradcam"), "it holds .*, not gradcam"),
    ):
        with pytest.raises(EngramError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_study_without_shards_says_so(study: Study, tmp_path: Path) -> None:
    (tmp_path / "m/attention").mkdir(parents=True)
    (tmp_path / "m/attention/index.parquet").write_bytes(b"")
    with pytest.raises(EngramError, match="no attention shards, the study came in a bundle"):
        Study(tmp_path, {"config": CONFIG}).attention(IDS[0])


def test_ids_are_whole_numbers_or_their_text(folder: Path) -> None:
    study = open_study(folder)
    wanted = study.attention([105, 101])
    for ids in (["105", "101"], np.array([105, 101], np.uint16), pd.Index([105, 101])):
        np.testing.assert_array_equal(study.attention(ids).packed_mean, wanted.packed_mean)
    # Floats have lost digits of ids beyond 2^53 already.
    for ids, message in (
        ([105.0, 101.0], r"ids: float64 numbers, .*2\^53"),
        (["105", "x"], "ids: '105' among 2; give sequence_id, whole numbers"),
        ([2**70], f"ids: '{2**70}' among 1"),
        ([None], "ids: 'None' among 1"),
    ):
        with pytest.raises(EngramError, match=message):
            study.attention(ids)
