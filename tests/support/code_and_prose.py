"""Texts that are code, and texts that are prose."""

CODE = {
    "python": "    def close(self):\n        if self._file is not None:\n"
    "            self._file.close()\n            self._file = None\n\n"
    "    def __enter__(self):\n        return self\n",
    "python imports": "import os\nimport re\nfrom pathlib import Path\nfrom typing import "
    "Any\n\nimport numpy as np\n",
    "c": "static int count(const char *name, size_t length)\n{\n\tint n = 0;\n"
    "\tfor (size_t i = 0; i < length; i++)\n\t\tn += name[i] == '.';\n\treturn n;\n}\n",
    "javascript": "const total = rows.reduce((sum, row) => sum + row.price, 0);\nif (total > "
    "limit) {\n  showWarning(total);\n}\n",
    "java": "public class Point {\n    private final double x;\n\n    public Point(double x) {\n   "
    "     this.x = x;\n    }\n",
    "rust": "pub fn area(&self) -> f64 {\n    let side = self.width.max(0.0);\n    side * "
    "self.height\n}\n",
    "shell": 'if [ -z "$HOME_DIR" ]; then\n    echo "no directory"\n    exit 1\nfi\nexport '
    'PATH="$HOME_DIR/bin:$PATH"\n',
    "sql": "SELECT name, COUNT(*) AS n\nFROM visits\nWHERE visit_day >= '2020-01-01'\nGROUP BY "
    "name\nORDER BY n DESC;\n",
    "html": '<ul class="menu">\n  <li><a href="/start">Start</a></li>\n  <li><a '
    'href="/about">About</a></li>\n</ul>\n',
    "css": ".menu li {\n  margin: 0 auto;\n  padding-left: 12px;\n}\n\n.menu a:hover {\n  color: "
    "#336699;\n}\n",
    "latex": "\\documentclass{article}\n\\begin{document}\n\\section{Results}\n\\label{sec:results}\n",
    "latex preamble in a "
    "sentence": "Some people say that you should write \\usepackage{times} in the preamble if the "
    "text is to be "
    "set in it.",
}
PROSE = {
    "fiction": "She had not been in the house since the winter, and the stairs seemed narrower "
    "than they were "
    "in her memory. He waited at the door with his hat in his hand.",
    "docstring": "Return the number of items in the queue. The result is only a hint, because "
    "other threads may "
    "add or remove items between the call and its use.",
    "documentation of a "
    "name": "If the file does not exist, it is created. The encoding is that of the platform "
    "unless the "
    "argument encoding is given; see open() for what may go wrong.",
    "licence": "The software is given to you as it is. Nobody who wrote it can be held to account "
    "for a loss "
    "that comes from its use, even where he was told that it may happen.",
    "news": "The council voted on Tuesday to close the bridge for six months. Repairs will cost "
    "4.5 "
    "million, said the mayor, of which the state pays half.",
    "science": "Patients who were given the drug had a lower risk of stroke (hazard ratio 0.81, "
    "95% confidence "
    "interval 0.70 to 0.93), but it was not seen in the older group.",
    "list": "What you need:\n- two eggs\n- a cup of flour\n- a pinch of salt\n\nBeat the eggs, and "
    "add the flour in small amounts.",
    "dialogue": '"Where have you been?" she asked. "At the office," he said, "and then at the '
    'station, but the train was late."',
    "numbers": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20",
    "empty": "",
}
