"""Localization: CNNs learn the classes from attention, and Δ says where they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from engram.api.attention import AttentionMaps
from engram.api.content import all_halves, content_numbers
from engram.api.display import STYLE, html_table, map_text, shown
from engram.api.regions import Region, check_share
from engram.cnn.dataset import Dataset
from engram.cnn.grid import GridResult, train_grid
from engram.cnn.network import AttentionCNN
from engram.cnn.results import histories, in_order, predictions_of
from engram.cnn.settings import CnnSettings
from engram.figures.delta import delta_maps
from engram.figures.profile import layer_profile
from engram.io.errors import EngramError, printable
from engram.io.hashing import uniform
from engram.io.packing import unpack, window_length
from engram.knockout.regions import top_cells
from engram.saliency.delta import choose_held_out, saliency_of_grid
from engram.saliency.delta_shares import draw_shares, layer_shares
from engram.saliency.file import Saliency
from engram.saliency.methods import check_methods
from engram.scores.score_table import score_table
from engram.taxonomy.sampling import splits
from engram.taxonomy.settings import DrawSettings
from engram.taxonomy.taxonomy import NON_MEMO, OTHERS

FEWEST = 20
"""Fewest texts of a class: with fewer, a split would often have none of it."""
SMALL = 200
"""Texts per class below which the quick settings are taken."""
STANDARD = CnnSettings(features=(10,), epochs=25, baselines=())
"""The grid of the default study on attention, with shuffled labels as its control."""
QUICK = STANDARD.model_copy(update={"kernels": (6,)})
"""Half of that grid, for few texts."""


@dataclass(frozen=True, repr=False, eq=False)
class Localization:
    """Which attention speaks for each class, and how well it separates the classes."""

    classes: list[str]
    """The K class names."""
    scores: pd.DataFrame
    """Scores of the test texts with bootstrap intervals, a row for CNNs that learned the real
    labels and one for those that learned shuffled ones: input, labels, balanced_accuracy,
    min_f1, … (fractions) with `<score>_low` and `<score>_high`, n (test texts), groups (different
    suffixes), cnns; see `engram.scores.score_table.score_table`."""
    layers: pd.DataFrame
    """Share of a class's Δ in each layer: class, layer (from 1), share, low, high, attention (the
    layer's share of the attention itself), n (texts behind Δ)."""
    saliency: Saliency
    """Δ and its spread over CNNs."""
    method: str
    """How evidence is traced back to the input; see `engram.saliency.methods`."""
    samples: pd.DataFrame
    """The texts that were used, under their names: class, split (train, validation, test)."""
    chosen_by: frozenset[str]
    """Content hashes of these texts, which `engram.knock_out` refuses."""
    model: str
    """Name of the model."""
    history: pd.DataFrame | None = None
    """Loss and accuracy of every CNN by epoch; None for a study's Δ."""

    @property
    def prefix(self) -> int:
        """Tokens of the prefix."""
        return self.saliency.prefix

    @property
    def opening(self) -> int:
        """Special tokens that the model read in front of every text: the first rows of Δ."""
        return self.saliency.opening

    def delta(self, class_name: str | None = None) -> np.ndarray:
        """Return Δ of a class, attention weighted by evidence: float32 (L, T', T'), [l, query, key]
        of the opening and the text; of blocks, where the maps have them.

        Args:
            class_name: None takes the mean over all classes but Non-Memo.
        """
        return unpack(self._packed(class_name))

    def top(self, share: float, class_name: str | None = None) -> Region:
        """Return the cells of the largest Δ, over all layers.

        Args:
            share: of all cells of all layers; at least one cell, and none whose Δ is 0.
            class_name: whose Δ; None takes the mean over all classes but Non-Memo.

        Raises:
            EngramError: a share outside (0, 1], or an unknown class.
        """
        check_share(share)
        cells = top_cells(self._packed(class_name), share)
        name = f"Δ of {class_name or 'memorized classes'}, {share:.2%}"
        texts = len(self.samples)
        rows = (self.opening, self.saliency.block)
        return Region(cells, name, self.prefix, self.chosen_by, texts, *rows)

    def plot(self) -> Figure:
        """Draw Δ of every class and layer."""
        found = self.saliency
        maps = (found.delta, self.classes, found.n, self.prefix)
        axes: dict[str, Any] = {"opening": self.opening, "block": found.block}
        return shown(delta_maps(*maps, **axes, style=STYLE))

    def plot_layers(self) -> Figure:
        """Draw the share of Δ in each layer, with its interval."""
        return shown(layer_profile(self.layers, self.classes, style=STYLE))

    def _packed(self, class_name: str | None) -> np.ndarray:
        """Return Δ of a class, packed (L, P)."""
        if class_name is None:
            memorized = [k for k, name in enumerate(self.classes) if NON_MEMO not in name]
            return self.saliency.delta[memorized].mean(axis=0)
        if class_name not in self.classes:
            raise EngramError(f"class {class_name!r}: choose {', '.join(self.classes)}")
        return self.saliency.delta[self.classes.index(class_name)]

    def _facts(self) -> dict[str, str]:
        splits = self.samples["split"].value_counts()
        counts = ", ".join(f"{splits.get(name, 0):,} {name}" for name in ("train", "test"))
        facts = {"model": self.model, "classes": ", ".join(self.classes), "texts": counts}
        for row in self.scores.to_dict("records"):
            if row["input"] == "attention" and row["n"]:
                labels = "" if row["labels"] == "real" else f", {row['labels']} labels"
                value, low, high = (row[f"balanced_accuracy{end}"] for end in ("", "_low", "_high"))
                facts[f"balanced accuracy{labels}"] = f"{value:.3f} [{low:.3f}, {high:.3f}]"
        rows = window_length(self.saliency.delta.shape[2])
        facts["Δ"] = (
            f"{self.method}, {len(self.saliency.cnns)} CNNs, {sum(self.saliency.n):,} texts, "
            f"{self.saliency.delta.shape[1]} layers, "
            f"{map_text(self.opening, self.prefix, rows, self.saliency.block)} tokens"
        )
        return facts

    def __repr__(self) -> str:
        return f"Localization: {'; '.join(f'{k} {v}' for k, v in self._facts().items())}"

    def _repr_html_(self) -> str:
        return html_table("Localization", self._facts())


def localize(
    maps: AttentionMaps,
    classes: Any,
    *,
    settings: CnnSettings | None = None,
    method: str = "guided",
    per_class: int = 400,
    samples_per_class: int = 200,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 1,
) -> Localization:
    """Train CNNs to tell classes apart by attention, and find the attention that they rest on.

    Every class takes part with as many texts as the smallest one has. Texts are split by the
    content of their suffix, 60 : 20 : 20, so that equal suffixes stay in one split; the epoch is
    chosen on the validation texts, scores and Δ are of the test texts. The same arguments give the
    same numbers.

    Args:
        maps: of `engram.attention`; for the method of the paper, of the texts that the model
            writes, the column `continuation` of `engram.label`.
        classes: the class of every text: a Series whose index names the rows of the maps, such as
            the column `class` of `engram.label`, or a list or array in their order. Texts whose
            class is missing are left out. The categories of a categorical column give the order of
            the classes.
        settings: the CNNs; None takes the grid of the default study, and half of it below 200 texts
            per class.
        method: guided, gradient, integrated_gradients or gradcam.
        per_class: most texts of a class.
        samples_per_class: most test texts of a class that Δ is averaged over.
        resamples: draws of the bootstrap, over different suffixes and CNNs.
        confidence: nominal coverage of the intervals.
        seed: of the choice of texts, their splits and the bootstrap.

    Raises:
        EngramError: classes that do not fit the maps, fewer than two, fewer than 20 texts of one,
            or too few different suffixes for three splits.
    """
    if not isinstance(maps, AttentionMaps):
        raise EngramError(f"maps: a {type(maps).__name__}; give what engram.attention returns")
    check_methods([method])
    names, code = _codes(maps, classes)
    rows = _balanced(maps, names, code, per_class, seed)
    data = _dataset(maps, names, code, rows, seed)
    size = int(np.bincount(data.label).min())
    grid = settings or (STANDARD if size >= SMALL else QUICK)
    result = train_grid(data, grid, "best_epoch")
    held_out = choose_held_out(data.split, data.label, _priority(data, seed), samples_per_class)
    saliency = saliency_of_grid(
        _cnns(result),
        data.mean[held_out],
        data.max[held_out],
        data.label[held_out],
        names,
        [method],
        maps.prefix,
        len(maps.opening),
        maps.block,
    )[method]
    trained = in_order(result)
    diverged = [(key.input, key.labels) for key, cnn in trained.items() if cnn.diverged]
    statistics: dict[str, Any] = {
        "resamples": resamples,
        "confidence": confidence,
        "seed": seed,
    }
    return Localization(
        classes=names,
        scores=score_table(predictions_of(result), names, diverged, **statistics),
        layers=layer_shares(draw_shares(saliency, **statistics)),
        saliency=saliency,
        method=method,
        samples=pd.DataFrame(
            {
                "class": pd.Categorical(np.array(names, object)[data.label], categories=names),
                "split": data.split,
            },
            index=maps.index[rows],
        ),
        chosen_by=all_halves(maps.tokens[rows], maps.prefix),
        model=maps.model,
        history=histories(result),
    )


def _codes(maps: AttentionMaps, classes: Any) -> tuple[list[str], np.ndarray]:
    """Return the class names and the class of every text, -1 where it has none."""
    if isinstance(classes, pd.Series):
        if classes.index.has_duplicates or len(missing := maps.index.difference(classes.index)):
            why = "names a row twice" if classes.index.has_duplicates else f"lacks row {missing[0]}"
            raise EngramError(f"classes: the index {why}; give the classes of the same texts")
        values = classes.loc[maps.index]
    else:
        values = pd.Series(list(classes), dtype=object)
        if len(values) != len(maps):
            raise EngramError(f"classes: {len(values)} for {len(maps)} texts")
    present = set(values.dropna())
    if isinstance(values.dtype, pd.CategoricalDtype):
        names = [name for name in values.cat.categories if name in present]
    else:
        names = sorted(map(str, present), key=lambda name: (name != NON_MEMO, name == OTHERS, name))
    if len(names) < 2:
        raise EngramError(
            f"classes: {len(names)} with texts ({', '.join(names) or 'none'}); two are needed to "
            f"tell apart"
        )
    for name in names:
        if (escaped := printable(str(name))) != str(name):
            raise EngramError(
                f"classes: {escaped} holds half a character (a lone surrogate), which no figure "
                f"can show; rename it"
            )
    return names, pd.Categorical(values.astype(object), categories=names).codes.astype(np.int64)


def _balanced(
    maps: AttentionMaps, names: Sequence[str], code: np.ndarray, per_class: int, seed: int
) -> np.ndarray:
    """Return the positions of the texts that take part, sorted: the same number of each class."""
    counts = np.bincount(code[code >= 0], minlength=len(names))
    if counts.min() < FEWEST:
        listed = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
        raise EngramError(
            f"classes: {names[int(counts.argmin())]} has {counts.min()} texts, {FEWEST} are needed "
            f"({listed}); bring more texts, or leave the class out"
        )
    size = min(per_class, int(counts.min()))
    priority = uniform(content_numbers(maps.tokens), seed, "priority")
    chosen = [
        rows[np.argsort(priority[rows], kind="stable")][:size]
        for k in range(len(names))
        if len(rows := np.flatnonzero(code == k))
    ]
    return np.sort(np.concatenate(chosen))


def _dataset(
    maps: AttentionMaps, names: list[str], code: np.ndarray, rows: np.ndarray, seed: int
) -> Dataset:
    """Return what the CNNs are trained on."""
    group = content_numbers(maps.tokens[rows, maps.prefix :])
    settings = DrawSettings(
        per_class=len(rows), minimum=1, train=0.6, validation=0.2, split_by="content_group"
    )
    return Dataset(
        sequence_id=rows.astype(np.int64),
        content_group=group,
        tokens=maps.read_tokens[rows],
        mean=maps.packed_mean[rows],
        max=maps.packed_max[rows],
        label=code[rows],
        split=splits(pd.DataFrame({"content_group": group}), settings, seed),
        classes=names,
        spans=maps.spans if maps.block > 1 else None,
    )


def _priority(data: Dataset, seed: int) -> np.ndarray:
    """Return the permanent random number of every text, which depends on its content alone."""
    return uniform(content_numbers(data.tokens), seed, "priority")


def _cnns(result: GridResult) -> dict[str, AttentionCNN]:
    """Return the CNNs that learned the real labels from attention, ready to predict."""
    cnns = {}
    for key, architecture in result.architectures.items():
        trained = result.trained[key]
        if (key.input, key.labels) == ("attention", "real") and not trained.diverged:
            data = result.dataset
            cnn = AttentionCNN.of(
                architecture, data.layers("attention"), len(data.classes), data.side
            )
            cnn.load_state_dict(trained.parameters)
            cnns[f"{key.cnn}/{key.seed}"] = cnn.eval()
    return cnns
