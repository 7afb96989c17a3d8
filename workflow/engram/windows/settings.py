"""The sections `code_classifier` and `prior` of the config."""

from collections.abc import Iterator

from pydantic import Field

from engram.io.settings import Settings

FEWEST_PREFIXES = 8
"""Unrelated prefixes below which a prior is too noisy."""


class CodeClassifierSettings(Settings):
    """The fastText model that decides `is_code` where the source does not provide it. It needs
    Engram's extra `fasttext`."""

    model: str = ""
    """A file, a folder or a repository on the Hugging Face hub; the paper's is
    `kenhktsui/code-natural-language-fasttext-classifier`. Empty: the offline classifier."""
    revision: str = ""
    """Commit, tag or branch on the hub, required for a repository. The commit is recorded."""
    file: str = "model.bin"
    """Name of the file in the folder or repository."""


class PriorSettings(Settings):
    """How likely a model finds each suffix after prefixes of unrelated windows, its prior: further
    columns of the labels, for categories and `samples.match`."""

    prefixes: int = Field(default=0, ge=0, le=1024)
    """Unrelated prefixes per window, 8 or more; each costs a forward of every scored candidate, and
    its own prefix one more. 0: no prior. They are drawn by `seed` from windows with another suffix,
    of another document, that share no run of 12 tokens with the window."""

    def mistakes(self) -> Iterator[str]:
        """Yield a number of prefixes that is too small."""
        if 0 < self.prefixes < FEWEST_PREFIXES:
            yield (
                f"prior.prefixes: {self.prefixes} is too few for a mean probability; take "
                f"{FEWEST_PREFIXES} or more, or 0 for no prior"
            )
