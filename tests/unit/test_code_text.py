"""The offline code classifier on snippets of the length of a sample, and what its points promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.code_text import CODE_POINTS, FEATURES, MOST_COUNTED, code_points, is_code
from engram.errors import EngramError

CODE = {
    "python": "    def close(self):\n        if self._file is not None:\n"
    "            self._file.close()\n            self._file = None\n\n"
    "    def __enter__(self):\n        return self\n",
    "python imports": "import os\nimport re\nfrom pathlib import Path\nfrom typing import Any\n\nimport numpy as np\n",
    "c": "static int count(const char *name, size_t length)\n{\n\tint n = 0;\n"
    "\tfor (size_t i = 0; i < length; i++)\n\t\tn += name[i] == '.';\n\treturn n;\n}\n",
    "javascript": "const total = rows.reduce((sum, row) => sum + row.price, 0);\nif (total > limit) {\n  showWarning(total);\n}\n",
    "java": "public class Point {\n    private final double x;\n\n    public Point(double x) {\n        this.x = x;\n    }\n",
    "rust": "pub fn area(&self) -> f64 {\n    let side = self.width.max(0.0);\n    side * self.height\n}\n",
    "shell": 'if [ -z "$HOME_DIR" ]; then\n    echo "no directory"\n    exit 1\nfi\nexport PATH="$HOME_DIR/bin:$PATH"\n',
    "sql": "SELECT name, COUNT(*) AS n\nFROM visits\nWHERE visit_day >= '2020-01-01'\nGROUP BY name\nORDER BY n DESC;\n",
    "html": '<ul class="menu">\n  <li><a href="/start">Start</a></li>\n  <li><a href="/about">About</a></li>\n</ul>\n',
    "css": ".menu li {\n  margin: 0 auto;\n  padding-left: 12px;\n}\n\n.menu a:hover {\n  color: #336699;\n}\n",
    "latex": "\\documentclass{article}\n\\begin{document}\n\\section{Results}\n\\label{sec:results}\n",
    "latex preamble in a sentence": "Some people say that you should write \\usepackage{times} in the preamble if the text is to be "
    "set in it.",
}
PROSE = {
    "fiction": "She had not been in the house since the winter, and the stairs seemed narrower than they were "
    "in her memory. He waited at the door with his hat in his hand.",
    "docstring": "Return the number of items in the queue. The result is only a hint, because other threads may "
    "add or remove items between the call and its use.",
    "documentation of a name": "If the file does not exist, it is created. The encoding is that of the platform unless the "
    "argument encoding is given; see open() for what may go wrong.",
    "licence": "The software is given to you as it is. Nobody who wrote it can be held to account for a loss "
    "that comes from its use, even where he was told that it may happen.",
    "news": "The council voted on Tuesday to close the bridge for six months. Repairs will cost 4.5 "
    "million, said the mayor, of which the state pays half.",
    "science": "Patients who were given the drug had a lower risk of stroke (hazard ratio 0.81, 95% confidence "
    "interval 0.70 to 0.93), but it was not seen in the older group.",
    "list": "What you need:\n- two eggs\n- a cup of flour\n- a pinch of salt\n\nBeat the eggs, and add the flour in small amounts.",
    "dialogue": '"Where have you been?" she asked. "At the office," he said, "and then at the station, but the train was late."',
    "numbers": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20",
    "empty": "",
}


@pytest.mark.parametrize("text", list(CODE.values()), ids=list(CODE))
def test_code_is_code(text: str) -> None:
    assert is_code([text]).tolist() == [True]


@pytest.mark.parametrize("text", list(PROSE.values()), ids=list(PROSE))
def test_prose_is_not_code(text: str) -> None:
    assert is_code([text]).tolist() == [False]


def test_labels_are_in_the_order_of_the_rows() -> None:
    labels = is_code([CODE["c"], PROSE["fiction"], CODE["sql"]])
    assert labels.dtype == np.bool_
    assert labels.tolist() == [True, False, True]


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(CODE.values()) + sorted(PROSE.values())), max_size=5).map("\n".join))
def test_points_are_bounded_however_long_the_text(text: str) -> None:
    highest = MOST_COUNTED * sum(points for _, points in FEATURES.values() if points > 0)
    lowest = MOST_COUNTED * sum(points for _, points in FEATURES.values() if points < 0)
    assert lowest <= code_points(text) <= highest


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(sorted(CODE.values()) + sorted(PROSE.values())), max_size=3).map("".join),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_the_points_decide(text: str, begin: int, end: int) -> None:
    cut = text[begin:end]
    assert is_code([cut]).tolist() == [code_points(cut) >= CODE_POINTS or "\\usepackage{" in cut]


def test_the_documented_bounds_are_those_of_the_features() -> None:
    assert (code_points(" the" * 9), MOST_COUNTED * sum(points for _, points in FEATURES.values() if points > 0)) == (-5, 65)


def test_a_missing_text_is_named() -> None:
    with pytest.raises(EngramError, match="row 1 holds nan"):
        is_code(["a", float("nan")])  # type: ignore[list-item]
