# Everything runs in a virtual environment; PYTHON says which interpreter makes it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

SOURCES := pyproject.toml setup.py $(wildcard fastwsgi/*.pyx fastwsgi/*.pxd)
MODULES := $(basename $(wildcard fastwsgi/*.pyx))
TESTED := $(VENV)/.tested
LINTED := $(VENV)/.linted

.PHONY: build serve test test-all lint format coverage bench bench-peers bench-locust dist clean

build: $(TESTED)

serve: build
	$(BIN)/fastwsgi --chdir examples hello:app

# make test TESTS=tests/apps OPTIONS='-x -k input'
test: build
	$(BIN)/pytest $(OPTIONS) $(TESTS)

# On every CPython from 3.10 that is on PATH or that pyenv has installed.
test-all:
	$(PYTHON) -m tests.package.everywhere $(TESTS)

lint: $(LINTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(abspath $(BIN)):$$PATH" cython-lint fastwsgi
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --concise --ignore-disjoint-bases \
		--allowlist .ci/stubtest.txt --ignore-unused-allowlist $(subst /,.,$(MODULES))
	FASTWSGI_WERROR=1 $(BIN)/python setup.py --quiet build_ext --force \
		--build-lib build/strict/lib --build-temp build/strict/temp

format: $(LINTED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pages stand in build/coverage/htmlcov afterwards.
coverage: build
	$(BIN)/python -m tests.coverage.measure $(TESTS)

bench: build
	$(BIN)/python bench/compare.py $(OPTIONS)

bench-peers: build
	$(BIN)/python bench/peers.py

bench-locust: build
	$(BIN)/pip install --quiet 'locust>=2.30'
	$(BIN)/python bench/run_locust.py $(OPTIONS)

dist: build
	$(BIN)/python -m build

clean:
	rm -rf build dist *.egg-info fastwsgi/*.so .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

# Installed for editing: the compiled modules stand beside their sources.
$(TESTED): $(SOURCES) | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(LINTED): $(SOURCES) | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[test,dev]'
	touch $@ $(TESTED)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
