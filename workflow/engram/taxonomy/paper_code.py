"""Names of taxonomies as the paper's code writes them."""

from __future__ import annotations

from engram.io.errors import EngramError
from engram.taxonomy.taxonomy import NON_MEMO, OTHERS, Taxonomy, format_number

MERGE_FIRST, MERGE_REST = "merge_1_", "merge_2_"


def taxonomy_of(name: str, rouge_threshold: float, duplicates_threshold: float) -> Taxonomy:
    """Return the taxonomy that the paper's code calls by a name.

    `other_a_b_c` is Non-Memo, A, B, Others, where c is the rest; `merge_1_` merges A and B,
    `merge_2_` B and c.

    Args:
        name: the key `tax_name` of its configuration.
        rouge_threshold: ρ of Guess: up to 1 for either ROUGE, 1 + ρ for ROUGE-L alone, 2 + ρ for
            ROUGE-3 alone.
        duplicates_threshold: δ of Recite and Recollect.

    Raises:
        EngramError: a name or a threshold that its code does not know.
    """
    merge = next((prefix for prefix in (MERGE_FIRST, MERGE_REST) if name.startswith(prefix)), "")
    parts = name.removeprefix(merge).split("_")
    delta = format_number(float(duplicates_threshold))
    categories = {
        "recite": f"Recite[{delta}]",
        "recollect": f"Recollect[{delta}]",
        "reconstruct": "Reconstruct",
        "guess": f"Guess[{_thresholds(rouge_threshold)}]",
        "code": "Code",
    }
    if len(parts) != 4 or parts[0] != "other" or not set(parts[1:3]) <= set(categories):
        raise EngramError(
            f"tax_name `{name}`: it is not one of the paper's code; they read `other_a_b_c`, "
            f"`merge_1_other_a_b_c` or `merge_2_other_a_b_c` with a and b of "
            f"{', '.join(categories)}"
        )
    first, second = (categories[part] for part in parts[1:3])
    middle = {
        "": f"{first}, {second}",
        MERGE_FIRST: f"{first}-or-{second}",
        MERGE_REST: first,
    }[merge]
    return Taxonomy.parse(f"{NON_MEMO}, {middle}, {OTHERS}")


def _thresholds(rho: float) -> str:
    """Return the two thresholds of Guess as a taxonomy writes them."""
    if not 0 < rho <= 3:
        raise EngramError(f"rouge_threshold {rho}: it is not above 0 and at most 3")
    if rho <= 1:
        return f"{format_number(rho)}-{format_number(rho)}"
    return f"{format_number(rho - 1)}-*" if rho <= 2 else f"*-{format_number(rho - 2)}"
