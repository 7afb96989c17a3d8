"""Maps of attention and Δ: every value in its place."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.figures.attention import attention_examples, attention_heads, shorten, spread_layers
from engram.figures.delta import best_blocks, delta_maps
from engram.figures.maps import Mosaic
from engram.io.errors import EngramError
from engram.io.packing import pack

TOKENS, PREFIX = 8, 5
NAMES = ["Non-Memo", "Recite[5]-or-Guess", "Reconstruct", "Code", "Others"]


def random_maps(classes: int, layers: int) -> np.ndarray:
    """(K, L, T, T), lower triangular."""
    return np.tril(np.random.default_rng(classes).random((classes, layers, TOKENS, TOKENS)))


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 4))
def test_maps_of_a_mosaic_do_not_overlap_and_fit(rows, columns, blocks):
    mosaic = Mosaic(rows, columns, blocks, TOKENS, side=1, label=0.8)
    width, height = mosaic.extent
    taken = np.zeros((height, width), dtype=int)
    for row, column in itertools.product(range(rows), range(columns)):
        x, y = mosaic.origin(row, column)
        taken[y : y + TOKENS, x : x + TOKENS] += 1
    assert taken.max() == 1 and taken.sum() == rows * columns * TOKENS**2


@pytest.mark.parametrize(("classes", "layers"), [(2, 4), (5, 4), (3, 36)])
def test_delta_is_drawn_relative_to_the_greatest_value_of_its_layer(classes, layers, style):
    maps = random_maps(classes, layers)
    figure = delta_maps(pack(maps), NAMES[:classes], [200] * classes, PREFIX, style=style)
    image = np.asarray(figure.axes[0].images[0].get_array().filled(np.nan))
    mosaic = Mosaic(layers, classes, best_blocks(layers, classes), TOKENS, *_sizes(figure, TOKENS))
    for layer, index in itertools.product(range(layers), range(classes)):
        x, y = mosaic.origin(layer, index)
        expected = np.where(
            np.tri(TOKENS, dtype=bool), maps[index, layer] / maps[:, layer].max(), np.nan
        )
        np.testing.assert_allclose(image[y : y + TOKENS, x : x + TOKENS], expected)


def test_the_greatest_value_of_each_layer_is_written(style):
    maps = random_maps(3, 4) * np.array([1, 0.1, 0, 10])[None, :, None, None]
    figure = delta_maps(pack(maps), NAMES[:3], [200] * 3, PREFIX, style=style)
    notes = [text.get_text() for text in figure.axes[0].texts if text.get_text().startswith("max")]
    assert notes == [f"max {maps[:, layer].max():.2g}" for layer in range(4)]


def test_axes_of_blockwise_maps_count_blocks(style):
    options = {"opening": 1, "block": 4, "style": style}
    figure = delta_maps(pack(random_maps(2, 1)), NAMES[:2], [1, 1], 13, **options)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert "query block (4 tokens)" in written and "key block (4 tokens)" in written
    assert {"bos", "4", "7"} <= set(written)  # blocks of the prefix, and of the window
    border = figure.axes[0].collections[1].get_segments()[1]
    x, y = border[0][0], border[2][1] - TOKENS
    np.testing.assert_array_equal(border - [x, y], [[0, 5], [5, 5], [5, TOKENS]])


def test_the_border_runs_between_the_last_prefix_and_the_first_suffix_token(style):
    figure = delta_maps(pack(random_maps(2, 1)), NAMES[:2], [1, 1], PREFIX, style=style)
    border = figure.axes[0].collections[1].get_segments()[0]
    x, y = border[0][0], border[2][1] - TOKENS
    np.testing.assert_array_equal(
        border - [x, y], [[0, PREFIX], [PREFIX, PREFIX], [PREFIX, TOKENS]]
    )


@pytest.mark.parametrize(("opening", "name"), [(1, "bos"), (2, "2 special")])
def test_tokens_in_front_of_the_window_have_a_part_and_a_name(opening, name, style):
    maps, rest = pack(random_maps(2, 1)), TOKENS - opening
    figures = [
        delta_maps(maps, NAMES[:2], [1, 1], PREFIX, opening=opening, style=style),
        attention_examples(maps, NAMES[:2], ["", ""], PREFIX, opening=opening, style=style),
        attention_heads(maps.swapaxes(0, 1), "title", PREFIX, opening=opening, style=style),
    ]
    for figure in figures:
        first, second = figure.axes[0].collections[1].get_segments()[:2]
        x, y = second[0][0], second[2][1] - TOKENS
        begun = opening + PREFIX
        np.testing.assert_array_equal(
            first - [x, y], [[0, opening], [opening, opening], [opening, TOKENS]]
        )
        np.testing.assert_array_equal(
            second - [x, y], [[0, begun], [begun, begun], [begun, TOKENS]]
        )
        labels = [text.get_text() for text in figure.axes[0].texts]
        for label in (name, f"{PREFIX}", f"{rest}"):
            assert labels.count(label) == 2
        assert labels.count("1") == 0
    with pytest.raises(EngramError, match="it must leave a suffix"):
        delta_maps(maps, NAMES[:2], [1, 1], rest, opening=opening, style=style)


@pytest.mark.parametrize("layers", [13, 24, 32, 36, 80])
@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_many_layers_come_near_a_page(layers, classes):
    blocks = best_blocks(layers, classes)
    assert 0.7 < -(-layers // blocks) / (blocks * (classes + 0.8)) < 2.9


def test_attention_keeps_its_values_between_floor_and_one(style):
    maps = random_maps(2, 3)
    maps[0, 0, 3, 1] = 1e-6
    figure = attention_examples(pack(maps), NAMES[:2], ["a", "b"], PREFIX, style=style)
    image = figure.axes[0].images[0].get_array()
    assert image.min() == pytest.approx(2e-3)
    np.testing.assert_allclose(np.sort(image.compressed())[1:], np.sort(pack(maps).ravel())[1:])


@given(st.integers(1, 100))
def test_chosen_layers_are_few_even_and_hold_the_ends(layers):
    chosen = spread_layers(layers)
    assert len(chosen) == min(layers, 6) and chosen[0] == 0 and chosen[-1] == layers - 1
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 1 else True


@given(st.text(max_size=400), st.integers(5, 40))
def test_shortened_text_is_printable_and_fits(text, width):
    lines = shorten(text, width)
    assert len(lines) <= 9 and all(len(line) <= width and line.isprintable() for line in lines)


def test_shortened_text_marks_line_breaks_and_escapes_what_the_font_lacks():
    assert shorten("a\n\tb 中$x$", 40) == ["a↵⇥b \\u4e2d$x$"]


def test_dollars_in_a_text_are_no_formula(style):
    figure = attention_examples(
        pack(random_maps(2, 1)), NAMES[:2], ["$x_1$", "b"], PREFIX, style=style
    )
    assert [
        text.get_parse_math() for text in figure.axes[0].texts if text.get_text() == "$x_1$"
    ] == [False]


def test_a_long_text_ends_with_an_ellipsis():
    assert "".join(shorten("x" * 91, 10)) == "x" * 89 + "…"


@pytest.mark.parametrize(
    ("shape", "prefix", "message"),
    [
        ((2, 0, 36), 4, r"maps of shape \(2, 0, 36\)"),
        ((3, 4, 36), 4, r"maps of shape \(3, 4, 36\) for 2 classes"),
        ((2, 4, 37), 4, "37 values are no packed map"),
        ((2, 4, 36), 8, "a prefix of 8 of 8 tokens"),
    ],
)
def test_what_cannot_be_drawn_is_named(shape, prefix, message, style):
    with pytest.raises(EngramError, match=f"delta_maps: {message}"):
        delta_maps(np.zeros(shape), NAMES[:2], [1, 1], prefix, style=style)
    with pytest.raises(EngramError, match=f"attention_examples: {message}"):
        attention_examples(np.zeros(shape), NAMES[:2], ["a", "b"], prefix, style=style)


def _sizes(figure, tokens: int) -> tuple[float, float]:
    """Side of a map and room for row labels in inches, read from the figure: 0.85 inches of label
    by design.
    """
    axes = figure.axes[0]
    width = axes.get_position().width * figure.get_figwidth()
    return width / axes.images[0].get_array().shape[1] * tokens, 0.85
