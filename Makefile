# SPDX-License-Identifier: MIT
#
# Everything runs in .venv, made from requirements.lock on first use.
#
#   make demo            the guided tour          make lint    ruff, imports, words
#   make test            the suite                make types   mypy, pyright
#   make test-versions   ... on each PostgreSQL   make check   lint, types, test
#   make test-cockroach  ... in a container       make test-postgres
#   make soak            the long tests           make lock    requirements.lock anew
#   make bench           the benchmarks           make clean   remove what make made

PYTHON = python3
UV_VERSION = 0.13.8

BIN = .venv/bin
PIP_INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check

# A process for each CPU, with a server of its own; PARALLEL= for one process, as a debugger needs.
PARALLEL = -n auto --dist worksteal

# What `make bench` measured, and where it draws it; with CHARTS=docs/benchmarks those of the docs.
RESULTS = .benchmarks/results.json
CHARTS = .benchmarks

# The names that pytest's --postgres takes, for test-versions.
VERSIONS = $$($(BIN)/python -c "from batchq.testing import installations; print(*installations())")

.PHONY: demo test test-versions test-cockroach test-postgres soak bench lint types check lock clean
.DELETE_ON_ERROR:

demo: .venv/installed
	@$(BIN)/python -m examples.demo

# With a PgBouncer on the PATH (or where Debian puts it) tests/poolers runs; else it is skipped.
test: .venv/installed
	$(BIN)/python -m pytest $(PARALLEL)

test-versions: .venv/installed
	@versions="$(VERSIONS)" && test -n "$$versions" || { echo "no PostgreSQL found" >&2; exit 1; }; \
	failed=; \
	for version in $$versions; do \
		echo "PostgreSQL $$version"; \
		$(BIN)/python -m pytest $(PARALLEL) --postgres="$$version" || failed="$$failed $$version"; \
	done; \
	test -z "$$failed" || { echo "failed on PostgreSQL:$$failed" >&2; exit 1; }

# In a container; without a Docker engine they say so, and that is no failure (5: no tests ran).
test-cockroach test-postgres: test-%: .venv/installed
	$(BIN)/python -m pytest --database=$* || test $$? -eq 5

soak: .venv/installed
	$(BIN)/python -m pytest -m soak

bench: .venv/installed
	@mkdir -p .benchmarks
	$(BIN)/python -m pytest benchmarks -q -p no:randomly $(if $(DATABASE_URL),--database=url) \
		--benchmark-quiet --benchmark-json $(RESULTS)
	@$(BIN)/python -m benchmarks.report $(RESULTS)
	@$(BIN)/python -m benchmarks.charts $(RESULTS) $(CHARTS)
	@$(BIN)/python -m benchmarks.bulk
	@$(BIN)/python -m benchmarks.profile

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	$(BIN)/python tools/check_words.py

# Pyright's warnings are about its own newer versions, and it asks the network for them.
types: .venv/installed
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

check: lint types test

# Two steps, so that an edit of pyproject.toml costs seconds and a new lock an exact environment.
.venv/installed: .venv/locked pyproject.toml
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "batchq needs Python 3.11 or newer; '$(PYTHON)' is not: make PYTHON=python3.11 ..." >&2; \
		exit 1; }
	@echo "Setting up .venv from requirements.lock (about a minute, once)"
	@$(PYTHON) -m venv --clear .venv
	@$(PIP_INSTALL) --require-hashes -r requirements.lock
	@touch $@

# Keeps the versions that are locked where it can; remove requirements.lock first for the newest.
lock:
	@test -x .venv-lock/bin/uv || $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	.venv-lock/bin/uv pip compile -q --no-config --no-python-downloads --system-certs \
		--universal --python-version 3.11 --all-extras --generate-hashes \
		--custom-compile-command "make lock" \
		--output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .venv-lock build dist .benchmarks .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -name __pycache__ -type d -exec rm -rf {} +
