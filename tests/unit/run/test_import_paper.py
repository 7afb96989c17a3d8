"""What the paper's code left becomes a study with the same samples, attention, CNNs and scores."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import paper_files
import pytest
import torch
from paper_files import CLASSES, LAYERS, PATTERNS, PER_CLASS, PREFIX, TAXONOMY, TOKENS
from sklearn.metrics import f1_score

import engram
from engram.api.study import Study
from engram.cnn.checkpoints import load_cnns
from engram.cnn.network import square_maps
from engram.io.errors import EngramError
from engram.run.import_paper import import_paper

MODEL = "pythia-12b-deduped-v0"
SLUG = "non-memo_guess_others"
TABLE = paper_files.sample_table()
ATTENTION = paper_files.attention_of(TABLE)
NAMES = TAXONOMY.split(", ")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The folder `output` of a checkout of the paper's code, without CNNs."""
    paper_files.write_patterns(tmp_path / "output", TABLE, ATTENTION)
    return tmp_path / "output"


@pytest.fixture(scope="module")
def imported(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Study, list[paper_files.Cnn2D], list[str]]:
    """A study of two CNNs of one architecture and one of another, and what was said."""
    root = tmp_path_factory.mktemp("paper")
    patterns = paper_files.write_patterns(root / "output", TABLE, ATTENTION)
    own = [
        paper_files.write_cnn(root / "output", "a", TABLE, ATTENTION),
        paper_files.write_cnn(root / "output", "bb", TABLE, ATTENTION, head_pooling="max"),
        paper_files.write_cnn(root / "output", "ccc", TABLE, ATTENTION, kernel=8),
    ]
    paper_files.write_cnn(root / "output", "of-another", TABLE, ATTENTION, patterns="other")
    lines = import_paper(patterns, None, root / "results" / "published")
    return engram.open(root / "results" / "published"), own, lines


def test_samples_have_the_classes_and_the_split_of_the_files(imported) -> None:
    study = imported[0]
    samples = study.samples(TAXONOMY).loc[TABLE["sequence_id"]]
    code = TABLE[[f"cat_{number}" for number in range(CLASSES)]].to_numpy().argmax(axis=1)
    assert samples["class"].tolist() == [NAMES[number] for number in code]
    assert samples["split"].tolist() == np.where(TABLE["part_train"], "train", "test").tolist()
    assert (study.models, study.protocols, study.taxonomies()) == ([MODEL], ["reference"], [SLUG])


def test_attention_is_that_of_the_files_pooled(imported) -> None:
    ids = TABLE["sequence_id"].to_numpy()[[3, 40, 0]]
    maps = imported[0].attention(ids)
    full = np.stack([ATTENTION[int(sequence)] for sequence in ids]).astype(np.float32)
    np.testing.assert_allclose(maps.mean, full.mean(axis=2), rtol=1e-6)
    np.testing.assert_array_equal(maps.max, full.max(axis=2))
    np.testing.assert_array_equal(maps.tokens, np.stack(TABLE["tokens"].iloc[[3, 40, 0]]))
    assert maps.prefix == PREFIX


def test_cnns_give_the_logits_of_the_papers_code(imported) -> None:
    study, own, _ = imported
    loaded = load_cnns(
        study.folder / MODEL / "reference" / "cnns" / SLUG / "checkpoints.safetensors"
    )
    keys = ["k6-f4-mean/0", "k6-f4-mean/1", "k8-f4-mean/0"]
    assert [f"{key.cnn}/{key.seed}" for key in sorted(loaded)] == keys
    full = torch.from_numpy(np.stack(list(ATTENTION.values())[:5])).float()  # (5, L, H, T, T)
    maps = study.attention(list(ATTENTION)[:5])
    packed = torch.from_numpy(maps.packed_mean)
    for key, cnn in zip(sorted(loaded), own, strict=True):
        with torch.no_grad():
            torch.testing.assert_close(
                loaded[key](square_maps(packed)), cnn(full), rtol=1e-5, atol=1e-6
            )


def test_scores_are_those_of_the_confusions_summed_over_cnns_and_epochs(imported) -> None:
    study, own, lines = imported
    tested = TABLE[TABLE["part_eval"]]
    label = tested[[f"cat_{number}" for number in range(CLASSES)]].to_numpy().argmax(axis=1)
    full = torch.from_numpy(np.stack([ATTENTION[int(i)] for i in tested["sequence_id"]])).float()
    with torch.no_grad():
        predicted = [cnn(full).argmax(axis=1).numpy() for cnn in own]
    expected = f1_score(np.tile(label, 9), np.tile(np.concatenate(predicted), 3), average=None)
    row = study.scores.iloc[0]
    assert row["min_f1"] == pytest.approx(expected.min(), abs=1e-5)
    assert (row["n"], row["cnns"]) == (CLASSES * 8, 3)
    assert any(line.startswith("CNNs: 3, of 3 epochs; minimum F1") for line in lines)


def test_delta_is_of_test_samples(imported) -> None:
    study, _, lines = imported
    delta = study.delta(TAXONOMY)
    assert delta.saliency.n == [8, 8, 8]
    assert delta.delta("Guess").shape == (LAYERS, TOKENS, TOKENS)
    assert study.delta(TAXONOMY, method="gradient").saliency.cnns == delta.saliency.cnns
    assert any(line == "Δ (guided, gradient) over 8, 8, 8 test samples per class" for line in lines)


def test_the_config_trains_the_same_again(imported) -> None:
    config = imported[0].config
    assert (config["samples"]["per_class"], config["cnn"]["hidden"]) == (PER_CLASS, 8)
    assert config["models"][0]["columns"]["trains"] == "part_train"
    assert config["attention"]["generation_mask"] == "reference"
    assert (config["cnn"]["kernels"], config["cnn"]["features"]) == ([6, 8], [4])


def test_without_attention_and_cnns_there_are_samples(tmp_path: Path) -> None:
    """The download script of the paper's code leaves attention out."""
    patterns = paper_files.write_patterns(tmp_path / "output", TABLE)
    lines = import_paper(patterns, None, tmp_path / "published")
    assert [line.split(":")[0] for line in lines[1:3]] == ["no attention", "no CNNs"]
    assert len(engram.open(tmp_path / "published").samples(TAXONOMY)) == CLASSES * PER_CLASS


def test_a_part_of_the_attention_is_counted(tmp_path: Path) -> None:
    some = {sequence: ATTENTION[sequence] for sequence in list(ATTENTION)[:5]}
    some[5] = next(iter(ATTENTION.values()))
    patterns = paper_files.write_patterns(tmp_path / "output", TABLE, some)
    paper_files.write_cnn(tmp_path / "output", "a", TABLE, ATTENTION)
    lines = import_paper(patterns, None, tmp_path / "published")
    assert lines[1] == (
        "attention of 5 of 72 samples; left out of the file, because they are no samples: 1"
    )
    assert lines[3] == "no Δ: class Non-Memo has no test sample with attention"


def broken(output: Path, mistake: str) -> str:
    """Make a mistake, and return what is to be said of it."""
    patterns, detect = output / "patterns" / PATTERNS, output / "detect"
    table, cnn = TABLE.copy(), "a/cnn_2d"
    if mistake == "no class":
        table.loc[7, "cat_0"] = False
        said = "row 7, column cat_0: 0 of 3 classes"
    elif mistake == "both parts":
        table.loc[9, "part_eval"] = True
        said = "row 9, column part_eval: a sample is either in part_train or in part_eval"
    elif mistake == "no classes":
        table = table.drop(columns=["cat_0", "cat_1", "cat_2"])
        said = "it has no columns cat_0 and cat_1"
    elif mistake == "taxonomy":
        config = json.loads((patterns / "config.json").read_text())
        config["tax_name"] = "other_guess_quote_code"
        (patterns / "config.json").write_text(json.dumps(config))
        said = "tax_name `other_guess_quote_code`: it is not one of the paper's code"
    elif mistake == "four classes":
        config = json.loads((patterns / "config.json").read_text())
        config["tax_name"] = "other_guess_recite_code"
        (patterns / "config.json").write_text(json.dumps(config))
        said = "it has 3 classes, the taxonomy of .* has 4"
    elif mistake == "attention of others":
        with h5py.File(patterns / "attention_patterns.h5py", "w") as file:
            file.create_dataset("12", data=np.zeros((2, 3, 64, 64), np.float16))
        said = "it holds 1 sequences and none of the samples"
    elif mistake == "no softmax":
        with h5py.File(patterns / "attention_patterns.h5py", "r+") as file:
            file[str(TABLE["sequence_id"][3])][0, 0, 5, :4] = 0.5
        said = f"attention of sequence_id {TABLE['sequence_id'][3]}: weights of a query miss 1 by"
    elif mistake == "later tokens":
        with h5py.File(patterns / "attention_patterns.h5py", "r+") as file:
            file[str(TABLE["sequence_id"][3])][0, 0, 5, 9] = 0.5
        said = f"attention of sequence_id {TABLE['sequence_id'][3]} looks at later tokens"
    elif mistake == "no h5":
        (patterns / "attention_patterns.h5py").write_bytes(b"x" * 5000)
        said = r"attention_patterns\.h5py: cannot be read"
    elif mistake == "a pickle":
        (detect / cnn / "model_2.pt").write_bytes(pickle.dumps(Payload(output / "ran")))
        said = r"model_2\.pt: it does not hold tensors alone"
    elif mistake == "other tensors":
        torch.save({"conv1.weight": torch.zeros(4, 2, 6, 6)}, detect / cnn / "model_2.pt")
        said = r"model_2\.pt: its tensors are not those of k6-f4-mean with 3 classes"
    elif mistake == "other samples":
        keys, logits, labels = torch.load(detect / cnn / "forward_values_1.pt")
        torch.save((keys + 5, logits, labels), detect / cnn / "forward_values_1.pt")
        said = "epoch 2: it was evaluated on sequence_id"
    elif mistake == "no epochs":
        for path in (detect / cnn).glob("model_*"):
            path.unlink()
        said = "no model_<epoch>.pt"
    elif mistake == "two alike":
        paper_files.write_cnn(output, "again", TABLE, ATTENTION)
        said = "2 are attention/real/k6-f4-mean/0, they differ in other settings"
    else:
        raise AssertionError(mistake)
    table.to_parquet(patterns / "train_eval_test.parquet")
    return said


class Payload:
    """Runs when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    "mistake",
    [
        "no class",
        "both parts",
        "no classes",
        "taxonomy",
        "four classes",
        "attention of others",
        "no softmax",
        "later tokens",
        "no h5",
        "a pickle",
        "other tensors",
        "other samples",
        "no epochs",
        "two alike",
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(output: Path, mistake: str) -> None:
    paper_files.write_cnn(output, "a", TABLE, ATTENTION)
    said = broken(output, mistake)
    target = output.parent / "published"
    with pytest.raises(EngramError, match=said) as error:
        import_paper(output / "patterns" / PATTERNS, None, target)
    assert "\n" not in str(error.value)
    assert not target.exists() and not list(output.parent.glob(".published*"))
    assert not (output / "ran").exists()


def test_a_folder_of_cnns_must_be_there(output: Path) -> None:
    with pytest.raises(EngramError, match="none: no such folder; give output/detect"):
        import_paper(output / "patterns" / PATTERNS, output / "none", output.parent / "published")


def test_a_study_that_exists_is_left_alone(output: Path) -> None:
    (output.parent / "published").mkdir()
    with pytest.raises(EngramError, match="it exists"):
        import_paper(output / "patterns" / PATTERNS, None, output.parent / "published")
