"""Templates of paired cloze: what a model reads, and what it is to write."""

from __future__ import annotations

from engram.io.errors import EngramError

DIRECTIONS = ("forward", "backward")
"""Term to identifier, and identifier to term."""
ASKED = {"forward": ("term", "identifier"), "backward": ("identifier", "term")}
"""Of each direction, what is given and what is asked for."""


def prompt(template: str, direction: str) -> tuple[str, str]:
    """Return a template up to the answer, without the white space before it, and that white space.

    Raises:
        EngramError: the template does not have what is given once, and after it what is asked for.
    """
    given, asked = (f"{{{name}}}" for name in ASKED[direction])
    counts = [template.count(place) for place in (given, asked)]
    if counts != [1, 1] or template.index(given) > template.index(asked):
        raise EngramError(
            f"audit.pairs.{direction}: {template!r} does not have {given} once, and after it "
            f"{asked} once; give for example {given}: {asked}"
        )
    before = template[: template.index(asked)]
    return before.rstrip(), before[len(before.rstrip()) :]
