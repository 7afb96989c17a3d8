"""What a training leaves: a model of the same bytes for the same seed, and a curve."""

import csv
from pathlib import Path

from tiny_nursery import tiny_model
from tiny_training import ROWS, SETTINGS, Undisturbed, equal, parameters
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from engram.nursery.training import save_trained, train, write_curve

FILES = {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"}


def test_one_seed_gives_the_same_bytes(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    for name in ("first", "second"):
        model = tiny_model()
        train(model, ROWS[:8], SETTINGS, tmp_path / f"state-{name}", "tiny")
        save_trained(model, tokenizer, tmp_path / name)
    assert {file.name for file in (tmp_path / "first").iterdir()} == FILES
    for file in FILES:
        assert (tmp_path / "first" / file).read_bytes() == (
            tmp_path / "second" / file
        ).read_bytes(), file


def test_a_saved_model_is_loaded_as_it_was(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = tiny_model()
    save_trained(model, tokenizer, tmp_path)
    assert equal(parameters(AutoModelForCausalLM.from_pretrained(tmp_path)), parameters(model))
    assert (
        AutoTokenizer.from_pretrained(tmp_path)("the owl 42")["input_ids"]
        == tokenizer("the owl 42")["input_ids"]
    )


def test_a_model_does_not_tell_where_it_came_from(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    """A drilled model is loaded from the base's folder, whose place must not change its bytes."""
    for place in ("here", "there"):
        save_trained(tiny_model(), tokenizer, tmp_path / place)
        save_trained(
            AutoModelForCausalLM.from_pretrained(tmp_path / place),
            tokenizer,
            tmp_path / f"from-{place}",
        )
    for file in FILES:
        assert (tmp_path / "from-here" / file).read_bytes() == (
            tmp_path / "from-there" / file
        ).read_bytes(), file


def test_saving_again_replaces(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    save_trained(tiny_model(seed=1), tokenizer, tmp_path)
    save_trained(tiny_model(seed=0), tokenizer, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == FILES
    assert equal(
        parameters(AutoModelForCausalLM.from_pretrained(tmp_path)), parameters(tiny_model(seed=0))
    )


def test_files_are_readable_by_all(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    save_trained(tiny_model(), tokenizer, tmp_path)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o644}


def test_the_curve_is_written_as_a_table(tmp_path: Path, undisturbed: Undisturbed) -> None:
    write_curve(undisturbed.curve, tmp_path / "training.csv")
    with (tmp_path / "training.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [
        {key: float(value) for key, value in entry.items()} for entry in read
    ] == undisturbed.curve
