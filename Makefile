# One verb per task, the same by hand and in CI. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.run
DEV := .venv/.dev
BENCH := .venv/.bench

export PYTHON

.DEFAULT_GOAL := help
.PHONY: help install run test check bench bench-verifier docs lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(RUN): pyproject.toml requirements/run.txt scripts/venv.sh
	@scripts/venv.sh run

$(DEV): pyproject.toml requirements/dev.txt scripts/venv.sh
	@scripts/venv.sh dev

$(BENCH): $(DEV) requirements/bench.txt
	@scripts/venv.sh bench

install: $(RUN)  ## set up .venv with the keyscope command in it
	@echo "Ready: .venv/bin/keyscope --help"

run: $(RUN)  ## start Keyscope on SQLite (keyscope.db here), print the first key; ARGS="--port 8701" adds options
	@$(BIN)/keyscope serve $(ARGS)

test: $(DEV)  ## run the whole suite
	@scripts/programs.sh
	@$(BIN)/python -m scripts.sdks
	@$(BIN)/python -m scripts.postgresql
	@$(BIN)/python -m pytest

check: $(DEV)  ## lint, types, import floors, docs and their site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/house

bench: $(BENCH)  ## measure, each figure beside its ceiling or peer in the same run; ARGS="--quick" for a look
	@scripts/programs.sh
	$(BIN)/python -m bench $(ARGS)

bench-verifier: $(DEV)  ## the same load on any running verifier; ARGS="--adapter unkey --url http://127.0.0.1:7070 --keys FILE"
	@scripts/programs.sh
	@$(BIN)/python -m bench.verifier $(ARGS)

docs: $(DEV)  ## write the tables in docs/ anew from the code, build the site in build/site, and check the rest
	$(BIN)/python -m scripts.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest -q tests/house

lock:  ## lock the requirements anew (needs uv)
	scripts/lock.sh

clean:  ## remove what make made
	rm -rf .venv .cache build .mypy_cache .ruff_cache .pytest_cache .hypothesis
