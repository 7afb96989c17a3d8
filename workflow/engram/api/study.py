"""A finished study: its tables, samples, attention and Δ, as `engram.open` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.api.attention import AttentionMaps
from engram.api.content import all_halves
from engram.api.display import html_table
from engram.api.language_model import LanguageModel, check_language_model
from engram.api.localization import Localization
from engram.cnn.assembly import usable_samples
from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError, reason
from engram.io.streams import read_selected
from engram.saliency.delta_shares import draw_shares, layer_shares
from engram.saliency.file import read_saliency
from engram.store.index import AttentionStore
from engram.taxonomy.pool import OWN, pool, read_shown
from engram.taxonomy.protocols import protocol_named
from engram.taxonomy.taxonomy import Taxonomy, categories_from_config

SEARCH = "search"
"""The list that a search of taxonomies draws: no taxonomy, but part of the pool."""


class Tables(Mapping[str, pd.DataFrame]):
    """The tables of a study by name, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._paths = {path.stem: path for path in sorted(folder.glob("*.csv"))}

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return a table.

        Raises:
            EngramError: the study has no such table, or it cannot be read.
        """
        if name not in self._paths:
            raise EngramError(f"table {name!r}: the study has {', '.join(self) or 'none'}")
        try:
            return pd.read_csv(self._paths[name])
        except (OSError, ValueError) as error:
            raise EngramError(
                f"{self._paths[name]}: cannot be read ({reason(error)}); run the study again"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return f"Tables: {', '.join(self)}"


@dataclass(frozen=True, repr=False, eq=False)
class Study:
    """The results of a study, in `results/<study>`."""

    folder: Path
    """Where they lie."""
    run: Mapping[str, Any]
    """`run.json`: config, code, packages, models and machine of the study."""

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.config["study"])

    @property
    def config(self) -> dict[str, Any]:
        """The study's config with all defaults filled in."""
        return self.run["config"]

    @property
    def models(self) -> list[str]:
        """Names of the models."""
        return [model["name"] for model in self.config["models"]]

    @property
    def protocols(self) -> list[str]:
        """Names of the protocols."""
        return list(self.config["protocols"])

    @property
    def shown(self) -> str:
        """Which text the samples show: `own`, `true` or `own-for-all`, see `samples.shown`."""
        return str(self.config.get("samples", {}).get("shown", OWN))

    @cached_property
    def tables(self) -> Tables:
        """All tables by name: `study.tables["counts"]`."""
        return Tables(self.folder / "tables")

    @property
    def scores(self) -> pd.DataFrame:
        """Scores of every model, protocol and taxonomy on the test split, with intervals."""
        return self.tables["scores"]

    def taxonomies(self, model: str | None = None, protocol: str | None = None) -> list[str]:
        """Return the slugs of the taxonomies that samples were drawn for."""
        lists = self._sample_lists(self._model(model), self._protocol(protocol))
        return [name for name in lists["taxonomy"].unique() if name != SEARCH]

    def labels(self, model: str | None = None) -> pd.DataFrame:
        """Return the labels of all candidates by sequence_id; see `engram.windows.labels.label`."""
        return read_parquet(self._file(model, "labels.parquet")).set_index("sequence_id")

    def samples(
        self, taxonomy: str, model: str | None = None, protocol: str | None = None
    ) -> pd.DataFrame:
        """Return the samples of a taxonomy by sequence_id: class, split, priority.

        Args:
            taxonomy: as the paper writes it, `Non-Memo, Guess, Others`, or its slug.
            model: may be left out where the study has one.
            protocol: may be left out where the study has one.
        """
        lists = self._sample_lists(self._model(model), self._protocol(protocol))
        slug = self._slug(taxonomy, lists)
        return lists[lists["taxonomy"] == slug].drop(columns="taxonomy").set_index("sequence_id")

    def attention(
        self, ids: Any, model: str | None = None, lm: LanguageModel | None = None
    ) -> AttentionMaps:
        """Return the stored attention of sequences.

        Args:
            ids: sequence_id of samples, as numbers or as the text that the explorer shows; an index
                of `samples` will do.
            model: may be left out where the study has one.
            lm: the model, of `engram.load`, for single heads and texts; maps need none.

        Raises:
            EngramError: a sequence whose attention was not extracted, or shards that are missing.
        """
        if lm is not None:
            check_language_model(lm)
        name = self._model(model)
        wanted = _sequence_ids(ids)
        store = self._store(name)
        mean, largest = store.read(wanted, "mean"), store.read(wanted, "max")
        measured = read_parquet(self._file(name, "attention/verification.parquet"))
        index = pd.Index(wanted, name="sequence_id")
        columns = ["extracted", "matched_fraction", "suffix_log_prob"]
        return AttentionMaps(
            tokens=self._tokens(name, wanted),
            index=index,
            prefix=self.config["prefix"],
            packed_mean=mean.astype(np.float32, copy=False),
            packed_max=largest,
            verification=measured.set_index("sequence_id")[columns].loc[wanted],
            model=name,
            lm=lm,
            opening=store.header.opening,
            block=store.header.block,
        )

    def delta(
        self,
        taxonomy: str,
        method: str | None = None,
        model: str | None = None,
        protocol: str | None = None,
    ) -> Localization:
        """Return Δ of a taxonomy, as `engram.localize` would.

        Args:
            taxonomy: as the paper writes it, or its slug.
            method: of the study's `saliency.methods`; None is the first.
            model: may be left out where the study has one.
            protocol: may be left out where the study has one.

        Raises:
            EngramError: the study did not localize this taxonomy, or not by this method.
        """
        name, how = self._model(model), self._protocol(protocol)
        slug = self._slug(taxonomy, self._sample_lists(name, how))
        path = self.folder / name / how / "saliency" / f"{slug}.h5"
        if not path.is_file():
            localized = ", ".join(sorted(file.stem for file in path.parent.glob("*.h5")))
            raise EngramError(f"{path}: no such file; localized are {localized or 'none'}")
        method = method or self.config["saliency"]["methods"][0]
        saliency = read_saliency(path, method)
        statistics = self.config["statistics"]
        scores = self.scores
        mine = (scores["model"] == name) & (scores["protocol"] == how) & (scores["slug"] == slug)
        samples = self._used(slug, name, how)
        tokens = self._tokens(name, samples.index.to_numpy())
        return Localization(
            classes=list(saliency.classes),
            scores=scores[mine].drop(columns=["model", "protocol", "taxonomy", "slug"]),
            layers=layer_shares(draw_shares(saliency, seed=self.config["seed"], **statistics)),
            saliency=saliency,
            method=method,
            samples=samples[["class", "split"]],
            chosen_by=all_halves(tokens, self.config["prefix"]),
            model=name,
        )

    def _used(self, taxonomy: str, model: str, protocol: str) -> pd.DataFrame:
        """Return the samples that the CNNs of a taxonomy were trained and evaluated on."""
        samples = self.samples(taxonomy, model, protocol)
        if not protocol_named(protocol).drop_unverified:
            return samples
        measured = read_parquet(self._file(model, "attention/verification.parquet"))
        usable = usable_samples(samples.reset_index(), measured, drop_unverified=True)
        return samples[samples.index.isin(usable["sequence_id"])]

    def _tokens(self, model: str, ids: np.ndarray) -> np.ndarray:
        """Return the texts whose attention was stored, int64 (n, T)."""
        lists = pd.concat([self._sample_lists(model, how) for how in self.protocols])
        samples = lists[lists["sequence_id"].isin(ids)]
        candidates, continuations = (
            read_selected(self._file(model, name), ids, ["sequence_id", "tokens"])
            for name in ("candidates.parquet", "continuations.parquet")
        )
        shown = read_shown(self._file(model, "continuations.parquet"))
        texts = pool(samples, candidates, continuations, shown).set_index("sequence_id")["tokens"]
        return np.array(texts.loc[ids].tolist(), np.int64)

    def _store(self, model: str) -> AttentionStore:
        index = self._file(model, "attention/index.parquet")
        if not any(index.parent.glob("shard-*.h5")):
            raise EngramError(
                f"{index.parent}: no attention shards, the study came in a bundle or they were "
                f"deleted; open it where it ran, or call engram.attention"
            )
        return AttentionStore(index)

    def _sample_lists(self, model: str, protocol: str) -> pd.DataFrame:
        """Return the samples of all taxonomies: taxonomy (slug), sequence_id, class, split, …"""
        folder = self.folder / model / protocol
        if not (folder / "samples").is_dir():
            return read_parquet(self._file(model, f"{protocol}/samples.parquet"))
        frames = [
            read_parquet(path).drop(columns="taxonomy", errors="ignore").assign(taxonomy=path.stem)
            for path in sorted((folder / "samples").glob("*.parquet"))
        ]
        if not frames:
            raise EngramError(f"{folder / 'samples'}: empty; run the study again")
        return pd.concat(frames, ignore_index=True)

    def _slug(self, taxonomy: str, lists: pd.DataFrame) -> str:
        """Return the slug of a taxonomy by its name or slug."""
        slugs = [name for name in lists["taxonomy"].unique() if name != SEARCH]
        if taxonomy in slugs:
            return taxonomy
        slug = Taxonomy.parse(taxonomy, categories_from_config(self.config["categories"])).slug
        if slug not in slugs:
            raise EngramError(f"taxonomy `{taxonomy}`: the study has {', '.join(slugs)}")
        return slug

    def _model(self, name: str | None) -> str:
        return _chosen("model", name, self.models)

    def _protocol(self, name: str | None) -> str:
        return _chosen("protocol", name, self.protocols)

    def _file(self, model: str | None, name: str) -> Path:
        path = self.folder / self._model(model) / name
        if not path.is_file():
            raise EngramError(f"{path}: no such file; run the study to its end")
        return path

    def _facts(self) -> dict[str, str]:
        return {
            "models": ", ".join(self.models),
            "protocols": ", ".join(self.protocols),
            "taxonomies": f"{self.scores['slug'].nunique() if 'scores' in self.tables else 0}",
            "window": f"{self.config['prefix']} + {self.config['suffix']} tokens",
            "tables": ", ".join(self.tables),
        }

    def __repr__(self) -> str:
        facts = "; ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"Study {self.name}: {facts}"

    def _repr_html_(self) -> str:
        return html_table(f"Study {self.name}", self._facts())


def open(folder: str | Path) -> Study:
    """Open a finished study.

    Args:
        folder: `results/<study>`.

    Raises:
        EngramError: there is no finished study in it.
    """
    path = Path(folder)
    if not path.is_dir():
        raise EngramError(f"study {folder}: no such folder; finished studies lie in results/")
    try:
        run = json.loads((path / "run.json").read_text(encoding="utf-8"))
        missing = {"models", "protocols", "prefix", "study"} - set(run["config"])
    except FileNotFoundError:
        raise EngramError(
            f"study {folder}: no run.json in it; run the study to its end: python -m engram run"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngramError(
            f"{path / 'run.json'}: cannot be read ({reason(error)}); run the study again"
        ) from None
    if missing:
        raise EngramError(
            f"{path / 'run.json'}: its config lacks {', '.join(sorted(missing))}; run the study "
            f"again"
        )
    return Study(path, run)


def _sequence_ids(ids: Any) -> np.ndarray:
    """Return sequence ids, int64 (n,).

    Raises:
        EngramError: floats, which may be rounded ids, or what is no whole number of 64 bits.
    """
    given = np.atleast_1d(np.asarray(ids))
    if given.size and given.dtype.kind == "f":
        raise EngramError(
            f"ids: {given.dtype} numbers, which cannot hold every sequence_id beyond 2^53; give "
            f"whole numbers, or their text"
        )
    try:
        return given.astype(np.int64)
    except (ValueError, TypeError, OverflowError):
        raise EngramError(
            f"ids: {str(given.flat[0])!r:.60} among {given.size}; give sequence_id, whole numbers"
        ) from None


def _chosen(what: str, name: str | None, names: list[str]) -> str:
    """Return a name that the study has; where it has one, it may be left out."""
    if name is None and len(names) == 1:
        return names[0]
    if name not in names:
        raise EngramError(
            f"{what}: {'none' if name is None else repr(name)}; the study has {', '.join(names)}"
        )
    return name
