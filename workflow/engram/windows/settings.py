"""The section `code_classifier` of the config."""

from engram.io.settings import Settings


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
