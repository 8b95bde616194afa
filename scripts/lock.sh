#!/usr/bin/env bash
# Writes the locked requirements from pyproject.toml: exact versions with hashes, for every supported Python.
set -eu
cd "$(dirname "$0")/.."
compile() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --no-emit-index-url "$@"
}
compile pyproject.toml --group build -o requirements/run.txt
compile pyproject.toml --group build --group dev --all-extras -c requirements/run.txt -o requirements/dev.txt
compile pyproject.toml --group bench -c requirements/dev.txt -o requirements/bench.txt
