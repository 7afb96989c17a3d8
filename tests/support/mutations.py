"""Seeded mutations: of a config, one key; of a file, what disks, networks and people do to it."""

from __future__ import annotations

import copy
import datetime
import random
from collections.abc import Callable, Iterator
from typing import Any

VALUES: list[Callable[[random.Random], Any]] = [
    lambda r: r.choice([None, True, False]),
    lambda r: r.choice([0, 1, -1, 7, 10**6, 2**63, 2**64, -(10**40), 1 << 20_000]),
    lambda r: r.choice(
        [0.0, -0.0, 0.5, -1.5, 1e-320, 1e300, float("inf"), float("-inf"), float("nan")]
    ),
    lambda r: r.choice(
        [
            "",
            "x",
            "../x",
            "a\0b",
            "a\nb",
            "\ud800",
            "é∂ß" * 100,
            "x" * 10_000,
            "{model}",
            "Non-Memo, Guess, Others",
            "1e5",
        ]
    ),
    lambda r: [],
    lambda r: {},
    lambda r: [r.choice(VALUES)(r) for _ in range(r.randint(1, 3))],
    lambda r: {
        r.choice(["x", "name", "seed", "a\nb", "\0", None, 1, 2.5, True, (1, 2)]): r.choice(
            VALUES[:6]
        )(r)
    },
    lambda r: r.choice([b"x", {1, 2}, (1,), datetime.date(2025, 8, 4), object]),
]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths of every value in a config."""
    for key, inner in (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    ):
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated_config(r: random.Random, config: dict) -> dict:
    """One key deleted, replaced, added, or wrapped."""
    config = copy.deepcopy(config)
    path = r.choice(list(places(config)))
    place: Any = config
    for key in path[:-1]:
        place = place[key]
    match r.choice(["delete", "replace", "replace", "add", "wrap"]):
        case "delete":
            del place[path[-1]]
        case "replace":
            place[path[-1]] = r.choice(VALUES)(r)
        case "add" if isinstance(place, dict):
            place[r.choice(["x", "name", "seed", "", "\0", "a\nb", None, 3, "windows"])] = r.choice(
                VALUES
            )(r)
        case "add":
            place.append(r.choice(VALUES)(r))
        case "wrap":
            place[path[-1]] = r.choice(
                [[place[path[-1]]], {"x": place[path[-1]]}, [place[path[-1]]] * 2]
            )
    return config


PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


def truncated(r: random.Random, content: bytes) -> bytes:
    """Cut off somewhere, as after a full disk."""
    return content[: r.randrange(len(content))]


def flipped(r: random.Random, content: bytes) -> bytes:
    """One bit is another."""
    place = r.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << r.randrange(8)]) + content[place + 1 :]


def zeroed(r: random.Random, content: bytes) -> bytes:
    """A block is zeros, as after a power cut."""
    start = r.randrange(len(content))
    length = min(r.choice([16, 512, 4096]), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def lengthened(r: random.Random, content: bytes) -> bytes:
    """Something was appended."""
    return content + r.choice([b"\0" * 512, b"\n", content[:100]])


def foreign(r: random.Random, content: bytes) -> bytes:
    """A file of another kind under the name."""
    return r.choice(
        [
            b"",
            b"a,b\n1,2\n",
            PNG,
            r.randbytes(2000),
            b'{"a": 1}\n',
            b"version https://git-lfs.github.com/spec/v1\n",
        ]
    )


DAMAGES: list[Callable[[random.Random, bytes], bytes]] = [
    truncated,
    flipped,
    flipped,
    zeroed,
    lengthened,
    foreign,
]
"""Flipped bits twice as often: they are the hardest to notice."""
