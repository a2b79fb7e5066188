# Every target sets up what it needs in .venv first; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow lint check docs fix schema showcase bench replica tree clean

help:      ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: .venv/ready  ## make .venv with the pinned versions

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

demo: setup  ## train, grow, compare and log in a few minutes, on text that Python carries
	$(BIN)/growlm demo

test: setup  ## the test suite, a process for each of two cores
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile -m "not gpu and not slow"

slow: setup  ## the tests that take minutes, which make test leaves out
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -m slow

lint: setup  ## format, rules, floors, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/pyright

check: lint test  ## what a change must pass

docs: .venv/docs  ## the site, into build/site; every warning is an error
	$(BIN)/python tools/pages.py build/pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

.venv/docs: .venv/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	@touch $@

fix: setup  ## what the tools can rewrite
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schema: setup  ## after a change to the recipe's sections
	$(BIN)/growlm schema > recipes/recipe.schema.json

showcase: demo  ## after a change to the demo: its picture and figures in the pages
	$(BIN)/python tools/showcase.py runs/demo

bench: setup  ## exactness, speeds, and memory beside every peer in .peers, into docs/peers.md
	$(BIN)/python benchmarks/bench.py $(BENCH)

REPLICA ?= recipes/replica.toml

replica: setup  ## the reference run in small, with the controls it lacked: would it have paid?
	$(BIN)/python benchmarks/replica.py $(REPLICA) $(REPLICA_OPTIONS)

tree: setup  ## after a new module or caption
	$(BIN)/python tools/tree.py docs/architecture.md README.md

clean:     ## remove runs, caches and the environment
	rm -rf .venv build runs .pytest_cache .ruff_cache .hypothesis .coverage .import_linter_cache
