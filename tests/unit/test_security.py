"""Nothing of a stranger's is run: no pickle is loaded, no code of a checkpoint, no shell, and names
stay within the results folder.
"""

from __future__ import annotations

import ast
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engram.cnn.checkpoints import load_cnns
from engram.io.artifacts import read_parquet
from engram.io.errors import EngramError
from engram.io.tensors import read_tensors
from engram.lm.models import load_model
from engram.run.config import complete
from engram.saliency.file import read_saliency
from engram.store.attention_file import AttentionFile
from engram.store.hidden_states import Layers

ROOT = Path(__file__).parents[2]
CODE = sorted([*ROOT.glob("workflow/**/*.py"), *ROOT.glob("perf/*.py")])
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {
    "eval",
    "exec",
    "__import__",
    "torch.load",
    "pd.read_pickle",
    "pandas.read_pickle",
    "os.system",
    "os.popen",
    "yaml.unsafe_load",
}


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression that is a name or a name's attribute; else no text."""
    match node:
        case ast.Name(name):
            return name
        case ast.Attribute(value, attribute) if name := dotted(value):
            return f"{name}.{attribute}"
    return ""


def faults(tree: ast.AST) -> Iterator[str]:
    """What a module may not do."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
            yield from (f"imports {name}" for name in names if name.split(".")[0] in MODULES)
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            safe = name == "torch.load" and "weights_only" in keywords  # its value is checked below
            if name in CALLS and not safe:
                yield f"calls {name}"
            if name == "yaml.load" and "Loader" not in keywords:
                yield "calls yaml.load without a loader"
            for keyword in ("allow_pickle", "trust_remote_code", "shell", "weights_only"):
                value = keywords.get(keyword)
                if value is not None and not (
                    isinstance(value, ast.Constant) and value.value is (keyword == "weights_only")
                ):
                    yield f"passes {keyword}={ast.unparse(value)}"


def test_no_module_loads_or_runs_what_a_file_says() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} {fault}"
        for path in CODE
        for fault in faults(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(CODE) > 300
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=asked)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "AutoConfig.from_pretrained(folder, trust_remote_code=asked)",
        "yaml.load(text)",
        "eval(text)",
    ],
)
def test_the_check_finds(line: str) -> None:
    assert len(list(faults(ast.parse(line)))) == 1


def test_tensors_alone_may_be_loaded() -> None:
    assert list(faults(ast.parse("torch.load(path, weights_only=True)"))) == []


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    "read",
    [
        read_parquet,
        read_tensors,
        load_cnns,
        AttentionFile,
        lambda path: read_saliency(path, "guided"),
        lambda path: Layers(path, [1]),
    ],
    ids=["table", "state of the drilling", "CNNs", "attention shard", "saliency", "hidden states"],
)
def test_a_pickle_in_the_place_of_an_artifact_is_refused_unread(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    mark, file = tmp_path / "ran", tmp_path / "artifact"
    file.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(EngramError) as error:
        read(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)
    assert not mark.exists()
    pickle.loads(file.read_bytes())
    assert mark.exists(), "the payload is harmless and proves nothing"


def test_weights_that_are_a_pickle_are_refused_unread(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(EngramError, match="safetensors"):
        load_model(tmp_path)
    assert not mark.exists()


MODEL = {"name": "nursery", "source": "nursery"}
STUDY = {"study": "demo", "models": [MODEL], "taxonomies": ["Non-Memo, Guess, Others"]}


@pytest.mark.parametrize(
    "name", ["../../etc", "/etc", "a/b", "", ".hidden", "a b", "a\n", "ü", "a" * 80, "$(id)", "a;b"]
)
def test_names_cannot_leave_the_results_folder(name: str) -> None:
    complete(STUDY)
    for config, key in (
        (STUDY | {"study": name}, "study"),
        (STUDY | {"models": [MODEL | {"name": name}]}, "models"),
    ):
        with pytest.raises(EngramError, match=key):
            complete(config)
