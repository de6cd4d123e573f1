# Two commands for a fresh machine; each makes what it needs in .venv (with uv where it is, else pip).
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
PYTHON ?= python3
ifneq ($(UV),)
CREATE := uv venv --quiet --allow-existing $(VENV)
INSTALL := VIRTUAL_ENV=$(VENV) uv pip install --quiet
else
CREATE := $(PYTHON) -m venv $(VENV)
INSTALL := $(BIN)/python -m pip install --quiet
endif
# One thread a process: on shared cores two torch threads can be many times slower than one.
export OMP_NUM_THREADS := 1

.PHONY: demo test lint docs benchmarks clean

# Teacher and student are independent until the distillation, so they train side by side, one thread each.
demo: export RGBT_BENCH_HOME := $(CURDIR)/.demo
demo: RUN = $(BIN)/rgbt-bench run --dataset sample --preset quick --device cpu
demo: $(VENV)/.train
	[ -f .demo/datasets/sample/dataset.json ] || $(BIN)/rgbt-bench convert sample
	$(RUN) ffkd-teacher-fusion >/dev/null & teacher=$$!; \
	$(RUN) ffkd-student-fusion >/dev/null & student=$$!; \
	wait $$teacher && wait $$student
	$(RUN) ffkd-student
	$(BIN)/rgbt-bench reproduce ffkd/table-2 --preset quick --dataset sample

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2

lint: $(VENV)/.dev
	$(BIN)/pre-commit run --all-files

docs: $(VENV)/.dev
	$(BIN)/mkdocs build

benchmarks: $(VENV)/.dev
	$(BIN)/python -m pytest -q benchmarks --benchmark-enable

$(VENV)/.train: pyproject.toml setup.py
	$(CREATE)
	$(INSTALL) -e '.[train]'
	touch $@

$(VENV)/.dev: pyproject.toml setup.py
	$(CREATE)
	$(INSTALL) -e '.[train,dev]'
	touch $@

clean:
	rm -rf $(VENV) .demo site build dist *.egg-info
