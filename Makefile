# The one place that says how to set up, run, test and measure the project. `make help` lists it.
.DEFAULT_GOAL := help
.PHONY: help setup run test lint lock bench clean

PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.setup-done
PYTEST_ARGS =
BENCH_ARGS =
LOCK_ARGS =

# What a module compiles to is kept, whatever the caller's shell says: without it the imports of a
# run take three times as long. COMPILED holds the packages a run imports, COMPILED_NOT their rest.
unexport PYTHONDONTWRITEBYTECODE
COMPILED = deltalake fsspec google grpc kedro kedro_datasets numpy omegaconf pandas pyarrow \
	pydantic pysail pyspark rich sqlglot yaml
COMPILED_NOT = /(tests|templates|examples)/

# The lock is exact, so what the cache holds is right without asking the index again. pyspark is an
# sdist of 450 MB of packed JARs: not packing them a second time makes its wheel in half the time.
UV_SYNC = $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --no-build-isolation \
	--config-settings-package pyspark:--build-option=--compression=stored

# Print the entries of the lock whose names match.
LOCKED = awk -v names='^($(1))==' '/^[a-z0-9]/ { keep = $$0 ~ names } keep' requirements.txt

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## Make .venv from the hashed lock, with the project in it (PYTHON=python3)

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(call LOCKED,uv) > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	$(call LOCKED,editables|hatchling|packaging|pathspec|pluggy|setuptools|trove-classifiers) \
		> $(VENV)/build.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(VENV)/build.txt
	$(UV_SYNC) --offline requirements.txt 2> /dev/null || $(UV_SYNC) requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	cd $(VENV)/lib/python3*/site-packages && \
		../../../bin/python -m compileall -q -j 0 -x '$(COMPILED_NOT)' $(COMPILED)
	$(BIN)/python -m compileall -q src
	@touch $@

run: setup ## Run the pipeline on the sample data (no Java needed)
	$(BIN)/kedro run

test: setup ## Run the tests on each engine (PYTEST_ARGS='-k silver')
	$(BIN)/pytest --numprocesses 2 --dist loadgroup $(PYTEST_ARGS)

lint: setup ## Check style, formatting, types, layers, workflow and bundle
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet .github/workflows
	if command -v actionlint > /dev/null; then actionlint; fi
	if command -v databricks > /dev/null; then \
		databricks bundle schema | $(BIN)/python scripts/check_bundle.py; fi

lock: setup ## Pin anew what pyproject.toml asks for, with few changes (LOCK_ARGS=--upgrade)
	$(BIN)/uv pip compile pyproject.toml --quiet --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header $(LOCK_ARGS) --output-file requirements.txt

bench: setup ## Measure side by side with a hand-written script (BENCH_ARGS='--rows 4_500_000')
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

clean: ## Remove the environment, caches and local tables
	rm -rf $(VENV) data/lakehouse build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
