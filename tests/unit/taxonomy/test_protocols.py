"""Protocols change the config's sections as they say."""

from engram.taxonomy.protocols import PROTOCOLS
from engram.taxonomy.settings import DrawSettings

SAMPLES = {"per_class": 400, "minimum": 100, "train": 0.6, "validation": 0.2}


def test_engram_takes_the_shares_of_the_config_and_splits_by_content() -> None:
    assert PROTOCOLS["engram"].sample_settings(**SAMPLES) == DrawSettings(
        **SAMPLES, split_by="content_group"
    )


def test_paper_trains_on_two_thirds_and_has_no_validation() -> None:
    assert PROTOCOLS["paper"].sample_settings(**SAMPLES) == DrawSettings(
        per_class=400, minimum=100, train=2 / 3, validation=0.0, split_by="sequence"
    )


def test_paper_trains_three_epochs() -> None:
    assert PROTOCOLS["paper"].cnn_section({"epochs": 15, "hidden": 64}) == {
        "epochs": 3,
        "hidden": 64,
    }


def test_engram_trains_as_the_config_says() -> None:
    assert PROTOCOLS["engram"].cnn_section({"epochs": 15, "hidden": 64}) == {
        "epochs": 15,
        "hidden": 64,
    }


def test_only_engram_selects_and_drops() -> None:
    found = {
        name: (protocol.selection, protocol.drop_unverified) for name, protocol in PROTOCOLS.items()
    }
    assert found == {
        "engram": ("best_epoch", True),
        "paper": ("all_epochs", False),
        "reference": ("all_epochs", False),
    }


def test_reference_trains_mean_pooled_cnns_alone_each_twice_from_seeds_of_their_own() -> None:
    section = PROTOCOLS["reference"].cnn_section(
        {"epochs": 15, "head_poolings": ["mean", "max"], "seeds": [0, 4]}
    )
    assert section == {"epochs": 3, "head_poolings": ["mean"], "seeds": [0, 1, 8, 9]}


def test_reference_splits_as_the_paper() -> None:
    assert PROTOCOLS["reference"].sample_settings(**SAMPLES) == PROTOCOLS["paper"].sample_settings(
        **SAMPLES
    )
