# The two commands of this project are `make reproduce` and `make test`; `make help` lists all.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Two runs at a time, unless told otherwise: make reproduce JOBS=4
JOBS ?= 2
# The rooms whose docstrings have examples, which are run.
PUBLIC := $(addprefix mvlib/,data encoders methods metrics ops check.py files.py)
# What breaks something on purpose, for the page of faults.
FAULTS := $(addprefix tests/,faults/test_*.py faults/fault_*.py data/test_download.py \
  data/test_readers_a*.py methods/test_masks.py test_security.py)
# Without bytecode, each of the many processes would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup reproduce reduced full book test lint gpu golden bench scale mutants notebooks clean

help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## make .venv with everything in it

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11 to 3.13 is needed; name one with: make setup PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv (some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# pip compiles what it installs; uv leaves that to the first import, unless told.
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt; fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

reproduce: $(READY) ## run every notebook's quick profile and build the book
	@$(BIN)/mvlib run --profile quick --jobs $(JOBS)
	@$(BIN)/mvlib book

reduced: $(READY) ## run the reduced settings that the book's tests rest on (hours)
	@$(BIN)/mvlib run --profile reduced --jobs $(JOBS)

full: $(READY) ## run the full settings of every table (hours; wants a GPU)
	@$(BIN)/mvlib run --profile full --jobs 1
	@$(BIN)/mvlib book

book: $(READY) ## build the book from what has been run
	@$(BIN)/mvlib book

lint: $(READY) ## check format, style, types and the direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

test: $(READY) lint ## check everything
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --doctest-modules $(PUBLIC) \
	  --nbval --nbval-cell-timeout 300 notebooks

gpu: $(READY) ## check what needs a GPU, and run the quick profile on it
	@$(BIN)/python -m pytest -m gpu tests
	@$(BIN)/mvlib run --profile quick --device cuda --jobs 1

golden: $(READY) ## write a method's golden numbers anew: make golden METHOD=set_clip
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m golden $(METHOD)

# In a name space of mounts of its own, where that is allowed: full disks are mounted there.
faults: $(READY) ## break runs on purpose and keep what happened (about an hour)
	@OMP_NUM_THREADS=1 $$(unshare -rm true 2>/dev/null && echo unshare -rm) \
	  $(BIN)/python -m pytest $(FAULTS) -m fault -p no:xdist --keep-results
	@OMP_NUM_THREADS=1 MVLIB_FUZZ=500 $(BIN)/python -m pytest tests/*/test_fuzz_*.py -n 2 --hypothesis-seed=7

bench: $(READY) ## time the kernels, as ratios within one run
	@$(BIN)/python -m pytest tests/bench/bench_*.py -p no:xdist --benchmark-only --benchmark-columns=min,median,rounds --keep-ratios

scale: $(READY) ## measure what methods and records cost as they grow (about ten minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/bench/scale*.py -p no:xdist --benchmark-only --benchmark-columns=min,rounds --keep-ratios

mutants: $(READY) ## change the code place by place, and count how often a test notices
	@OMP_NUM_THREADS=1 $(BIN)/python tests/bench/mutants.py --keep

notebooks: $(READY) ## store the outputs of the last quick runs in the committed notebooks
	@$(BIN)/mvlib run --profile quick --jobs $(JOBS)
	@$(BIN)/mvlib store

clean: ## remove what was run and built
	@rm -rf runs _build
