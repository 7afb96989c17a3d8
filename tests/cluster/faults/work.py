"""One piece of work: `work.py NUMBER OUTPUT`. It notes every start, does what plan.json says of it,
and writes its output whole.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from engram.io.artifacts import whole

number, output = sys.argv[1], Path(sys.argv[2])
notes = Path(f"starts/piece-{number}")
notes.parent.mkdir(exist_ok=True)
with notes.open("a") as file:
    file.write(f"{time.time()}\n")
start = len(notes.read_text().splitlines())

plan = json.loads(Path("plan.json").read_text()).get(number, {})
if plan.get("fail"):
    sys.exit(f"piece {number} cannot be computed: the reason stands in its log")
if start == 1 or plan.get("always"):
    # Memory is touched, or it would not count.
    held = bytearray(b"x") * (plan.get("megabytes", 0) * 2**20)
    time.sleep(plan.get("seconds", 0))

line = f"piece {number} of the work\n"
if late := plan.get("late"):
    # What a slow file system does: the job has ended, its file is not there yet.
    write = (
        "import sys, time, pathlib; time.sleep(float(sys.argv[1])); "
        "pathlib.Path(sys.argv[2]).write_text(sys.argv[3])"
    )
    command = [sys.executable, "-c", write, str(late), str(output), line * plan.get("lines", 1000)]
    subprocess.Popen(
        command,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
else:
    with whole(output) as temporary, temporary.open("w") as file:
        for _ in range(plan.get("lines", 1000)):
            file.write(line)
