"""The taxonomies of the paper by name: the 54 of its benchmark (Tables 1 and 3) and the 27
thresholds of its ρ study (Table 4).

Both are generated, so that a study with other numbers of duplicates (`deltas`) or other thresholds
(`rho`) gets the same families.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engram.taxonomy.taxonomy import NON_MEMO, OTHERS, format_number

RHO_KINDS = ("rouge_l", "rouge_3", "both")
"""What a threshold ρ of Guess applies to: ROUGE-L alone, ROUGE-3 alone, or either."""
_FORMS = ("Guess", "Code", "Reconstruct")


def paper_names(deltas: Sequence[float]) -> list[str]:
    """Return the families of the paper's benchmark at the given numbers of duplicates, as the paper
    writes them.

    Three classes: a category alone, or Recite[δ] or Recollect[δ] alone, or one of those merged with
    Guess, Code or Reconstruct. Four classes: Recite[δ] or Recollect[δ], then one of the three; or
    one of the three, then Recite[δ]. 3 + 17 names per δ.

    Args:
        deltas: thresholds of `sequence_duplicates`; the paper's are 5, 50 and 1000.
    """
    middles = list(_FORMS)
    for recite, recollect in (
        (f"Recite[{d}]", f"Recollect[{d}]") for d in map(format_number, map(float, deltas))
    ):
        middles += [recite, recollect]
        middles += [f"{recite}-or-{form}" for form in _FORMS]
        middles += [f"{form}-or-{recollect}" for form in _FORMS]
        middles += [f"{first}, {form}" for first in (recite, recollect) for form in _FORMS]
        middles += [f"{form}, {recite}" for form in _FORMS]
    return [f"{NON_MEMO}, {middle}, {OTHERS}" for middle in middles]


def rho_name(kind: str, rho: float) -> str:
    """Return the new taxonomy with Guess at threshold ρ of one of `RHO_KINDS`, e.g. `Non-Memo,
    Guess[0.6-*], Others`.
    """
    number = format_number(float(rho))
    arguments = {"rouge_l": (number, "*"), "rouge_3": ("*", number), "both": (number, number)}[kind]
    return f"{NON_MEMO}, Guess[{'-'.join(arguments)}], {OTHERS}"


def rho_names(rho: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the taxonomies of the config's section `rho`: thresholds by kind."""
    return [rho_name(kind, value) for kind in RHO_KINDS for value in rho.get(kind, ())]
