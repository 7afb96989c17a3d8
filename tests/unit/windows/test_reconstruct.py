"""Repeating and incrementing text: cases checked by hand, and properties of the definitions."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.io.errors import EngramError
from engram.windows.reconstruct import is_incrementing, is_repeating, items, reconstruct_labels

INCREMENTING = {
    "comma list": "1, 2, 3, 4, 5, 6, 7",
    "step of five": "a5 a10 a15 a20 a25",
    "falling": "10 9 8 7 6 5 4",
    "hexadecimal words": "0x1d 0x1e 0x1f 0x20 0x21 0x22",
    "hexadecimal in decimal digits": "0x10, 0x11, 0x12, 0x13, 0x14",
    "dates": "2021-01-05\n2021-01-06\n2021-01-07\n2021-01-08",
    "quoted list": "'x1', 'x2', 'x3', 'x4', 'x5'",
    "escapes": r"\x11 \x12 \x13 \x14 \x15",
    "leading zeros": "img007.png img008.png img009.png img010.png",
    "table rows": "| 5 | yes | 1 |\n| 6 | yes | 1 |\n| 7 | yes | 1 |\n| 8 | yes | 1 |",
    "two interleaved counters": "x1 y10 x2 y20 x3 y30 x4 y40",
    "one counter beside a constant": "p1 q7 p2 q7 p3 q7 p4 q7",
    "numbers cut at both ends": "87 f 188 f 189 f 190 f 191 f 1",
    "uneven white space": "1,\n\n2,   3,\t4, 5, 6",
    "three numbers": "4 6 8",
}
NOT_INCREMENTING = {
    "empty": "",
    "prose": "It was the best of times, it was the worst of times, in 1859.",
    "constant rows": "row 5, row 5, row 5, row 5, row 5",
    "squares": "1 4 9 16 25 36 49",
    "one number off": "1, 2, 3, 4, 6, 6, 7, 8",
    "one word changed": "page 1 page 2 page 3 pages 4 page 5 page 6",
    "turn of the month": "2021-01-29\n2021-01-30\n2021-01-31\n2021-02-01\n2021-02-02",
    "hexadecimal digits with commas": "0x1d, 0x1e, 0x1f, 0x20, 0x21",
    "each number twice only": "at 3 of 9, go 5 to 4; at 4 of 7, go 8 to 1;",
    "three numbers without a step": "12 20 15",
    "repeats before it counts": "1 2 3 7 9 1 2 3 7 9 1 2 3 7 9",
    "letters": "a b c d e f g h",
}
REPEATING = {
    "one character": "----------",
    "a chunk four times": "abcabcabcabc",
    "first and last character differ": "Xabababab?",
    "four characters are not trimmed": "abab",
    "lines": "return x\nreturn x\nreturn x\n",
    "a partial last chunk": "foo bar foo bar foo b",
}
NOT_REPEATING = {
    "empty": "",
    "three characters": "aaa",
    "natural text": "It was the best of times, it was the worst of times",
    "twice, but not without the ends": "abcdeabcde",
    "one character off": "abababcbabab",
    "counter": "a1a2a3a4a5a6",
}


@pytest.mark.parametrize("text", list(INCREMENTING.values()), ids=list(INCREMENTING))
def test_incrementing(text: str) -> None:
    assert is_incrementing(text)


@pytest.mark.parametrize("text", list(NOT_INCREMENTING.values()), ids=list(NOT_INCREMENTING))
def test_not_incrementing(text: str) -> None:
    assert not is_incrementing(text)


@pytest.mark.parametrize("text", list(REPEATING.values()), ids=list(REPEATING))
def test_repeating(text: str) -> None:
    assert is_repeating(text)


@pytest.mark.parametrize("text", list(NOT_REPEATING.values()), ids=list(NOT_REPEATING))
def test_not_repeating(text: str) -> None:
    assert not is_repeating(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a12b  34", ["a", 12, "b", 34]),
        ("0x1F 0b11 1_000", [31, 3, 1000]),
        ("0x1F, 007", [0, "x", 1, "F,", 7]),
        ("-5", ["-", 5]),
        ("""'a' "7" c\\d \\x41 e\\n8""", ["a", 7, "cd", 41, "e", 8]),
        ("9" * 5000, ["9" * 5000]),
    ],
    ids=[
        "digits apart",
        "integer literals",
        "decimal otherwise",
        "sign",
        "quotes and escapes",
        "beyond Python's limit",
    ],
)
def test_items(text: str, expected: list[int | str]) -> None:
    assert items(text) == expected


# No digits, quotes or backslashes, and none of the two characters that may be part of a number for
# Python: + and _.
FRAMES = st.text("abxyz.,:;()[]|/=- \n", min_size=1, max_size=8)


def progression(frame: str, numbers: list[int]) -> str:
    """The numbers in a constant frame; the first and the last item, which are ignored, are
    brackets.
    """
    return "< " + "".join(f"{frame}{number}" for number in numbers) + " >"


@settings(deadline=None)
@given(FRAMES, st.integers(1, 5000), st.integers(1, 500), st.integers(3, 12), st.booleans())
def test_an_arithmetic_progression_in_a_frame_is_incrementing(
    frame: str, start: int, step: int, count: int, falling: bool
) -> None:
    numbers = [start + step * index for index in range(count)]
    assert is_incrementing(progression(frame, numbers[::-1] if falling else numbers))


@settings(deadline=None)
@given(FRAMES, st.integers(1, 5000), st.integers(1, 500), st.integers(1, 5), st.integers(1, 1000))
def test_a_perturbed_progression_is_not_incrementing(
    frame: str, start: int, step: int, half: int, error: int
) -> None:
    numbers = [start + step * index for index in range(2 * half + 1)]
    # The middle number stands between two others at every distance that three numbers can have.
    numbers[half] += error
    assert not is_incrementing(progression(frame, numbers))


def plainly_incrementing(pieces: list[int | str]) -> bool:
    """The definition, phase by phase."""
    if len(pieces) > 4:
        pieces = pieces[1:-1]
    for period in range(1, len(pieces) // 2 + 1):
        phases = [pieces[start::period] for start in range(period)]
        numbers = [phase for phase in phases if all(isinstance(piece, int) for piece in phase)]
        if any(len(set(phase)) > 1 for phase in phases if phase not in numbers):
            continue
        steps = [{later - earlier for earlier, later in pairwise(phase)} for phase in numbers]
        if any(len(differences) > 1 for differences in steps):
            continue
        if all(differences == {0} for differences in steps):
            return False
        if any(len(phase) > 2 for phase in numbers):
            return True
    return False


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.sampled_from([1, 2, 3, 4, "a"]), min_size=1, max_size=4),
    st.integers(1, 4),
    st.lists(st.integers(-1, 1), max_size=12),
)
def test_incrementing_equals_its_definition(
    chunk: list[int | str], times: int, steps: list[int]
) -> None:
    pieces = [piece if isinstance(piece, str) else 10 + piece for piece in chunk * times]
    for index, step in enumerate(steps[: len(pieces)]):
        piece = pieces[index]
        pieces[index] = piece if isinstance(piece, str) else piece + step
    assert is_incrementing(" ".join(map(str, pieces))) == plainly_incrementing(pieces)


@settings(deadline=None, max_examples=500)
@given(st.text("ab", min_size=1, max_size=6), st.integers(1, 24), st.text("ab", max_size=2))
def test_repeating_equals_its_definition(chunk: str, length: int, end: str) -> None:
    text = (chunk * length)[:length] + end
    trimmed = text[1:-1] if len(text) > 4 else text
    periods = [
        period
        for period in range(1, len(trimmed) // 2 + 1)
        if trimmed[period:] == trimmed[:-period]
    ]
    assert is_repeating(text) == (len(text) > 3 and periods != [])


def test_labels_are_in_the_order_of_the_rows() -> None:
    repeating, incrementing = reconstruct_labels(
        ["a1 a2 a3 a4 a5", "abcabcabcabc", "neither of them"]
    )
    assert incrementing.tolist() == [True, False, False]
    assert repeating.tolist() == [False, True, False]


def test_no_texts_give_no_labels() -> None:
    repeating, incrementing = reconstruct_labels([])
    assert repeating.shape == incrementing.shape == (0,)


def test_a_missing_text_is_named() -> None:
    with pytest.raises(EngramError, match="row 1 holds None"):
        reconstruct_labels(["a", None])  # type: ignore[list-item]
