# clinclip: one boring developer path. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# what benchmarks compare against brings old libraries with it: an environment of its own
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
# one test process a core, of one thread each; beyond eight, start-up costs more than it saves
WORKERS = $$($(BIN)/python -c 'import os; print(min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()))')
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests
# Where it is set, every start of Python compiles half a million lines anew: 20 CPU seconds instead of 8.
unexport PYTHONDONTWRITEBYTECODE
export NO_ALBUMENTATIONS_UPDATE := 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help install test test-slow check format bench demo ablation ablation-quick clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

# sets UV for the rest of a recipe: the one on the path, the one of $(PYTHON), or one put into the environment
FIND_UV := if command -v uv >/dev/null 2>&1; then UV="uv"; \
 elif $(PYTHON) -m uv --version >/dev/null 2>&1; then UV="$(PYTHON) -m uv"; \
 else [ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; UV="$(BIN)/uv"; fi

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	 echo "clinclip is tested on Python 3.11, 3.12 and 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make install PYTHON=python3.13"; \
	 exit 1; }
	@command -v uv >/dev/null 2>&1 || $(PYTHON) -m uv --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@set -e; $(FIND_UV); \
	 [ -x $(BIN)/python ] || $$UV venv --quiet --python $(PYTHON) $(VENV); \
	 echo "Installing clinclip and its dependencies into $(VENV) (about 7 GB the first time) ..."; \
	 $$UV pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable ".[dev]"
	@$(BIN)/python -m compileall -q clinclip
	@touch $@

$(BENCH_STAMP): $(STAMP)
	@set -e; $(FIND_UV); echo "Installing what the benchmarks compare against (open_clip, faiss, litdata, ...) into $(BENCH_VENV) ..."; \
	 [ -x $(BENCH_VENV)/bin/python ] || $$UV venv --quiet --python $(BIN)/python $(BENCH_VENV); \
	 $$UV pip install --quiet --compile-bytecode --python $(BENCH_VENV)/bin/python --constraint constraints.txt --editable ".[dicom,bench]"
	@touch $@

install: $(STAMP)  ## create .venv in this folder and install clinclip with everything the tests need

test: install  ## run the tests on all cores; what it leaves out (the long batteries) it says at the end
	$(PYTEST) -m "not slow"

test-slow: install  ## run what `make test` leaves out
	$(PYTEST) -m slow

check: install  ## ruff, type checker, layer rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_imports.py

format: install  ## let ruff rewrite the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BENCH_STAMP)  ## print speed and memory ratios against named alternatives
	$(BENCH_VENV)/bin/python -m tests.benchmarks

demo: install  ## phantom studies -> prepare -> train -> evaluate, in about ten minutes on two cores
	$(BIN)/python -m clinclip demo --out demo

ablation: install  ## nine rows by three seeds on phantom studies: about 70 minutes on two idle cores; can be interrupted
	$(BIN)/python -m clinclip ablate run --out runs/ablation

ablation-quick: install  ## the same with one seed and few studies, in under ten minutes
	$(BIN)/python -m clinclip ablate run --out runs/ablation-quick --quick

clean:  ## remove the environments and everything the demo wrote
	rm -rf $(VENV) $(BENCH_VENV) demo runs
