# Everything runs in a virtual environment; PYTHON says which interpreter makes it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

SOURCES := pyproject.toml setup.py $(wildcard fastwsgi/*.pyx fastwsgi/*.pxd)
MODULES := $(basename $(wildcard fastwsgi/*.pyx))
TESTED := $(VENV)/.tested
LINTED := $(VENV)/.linted
BENCHED := $(VENV)/.benched

.PHONY: build serve test test-all lint lint-style lint-types lint-warnings format docs coverage sanitize chaos conformance checked \
	leaks fuzz bench bench-peers bench-micro bench-parser bench-locust bench-scale bench-instructions bench-interpreters bench-syscalls \
	bench-connections bench-start bench-soak bench-report dist clean

build: $(TESTED)

serve: build
	$(BIN)/fastwsgi --chdir examples hello:app

# make test TESTS=tests/apps OPTIONS='-x -k input'. A process for each core, as tests mostly wait.
test: build
	$(BIN)/pytest --numprocesses auto --dist worksteal $(OPTIONS) $(TESTS)

# On every CPython from 3.10 that is on PATH or that pyenv has installed.
test-all:
	$(PYTHON) -m tests.package.everywhere $(TESTS)

lint: lint-style lint-types lint-warnings

lint-style: $(LINTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(abspath $(BIN)):$$PATH" cython-lint fastwsgi

lint-types: $(LINTED)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --concise --ignore-disjoint-bases \
		--allowlist .ci/stubtest.txt --ignore-unused-allowlist $(subst /,.,$(MODULES))

# Those of Cython and of the C compiler, as errors.
lint-warnings: $(LINTED)
	FASTWSGI_WERROR=1 $(BIN)/python setup.py --quiet build_ext --force \
		--build-lib build/strict/lib --build-temp build/strict/temp

format: $(LINTED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: build
	$(BIN)/python -m fastwsgi.config.reference > docs/settings.md

# The pages stand in build/coverage/htmlcov afterwards.
coverage: build
	$(BIN)/python -m tests.coverage.measure $(TESTS)

# The suite against extensions built otherwise, in a copy of the repository; tests/support/instrumented.py says what
# of it cannot run. Output by file descriptor is not captured: a report of a sanitizer is the last that is heard.
INSTRUMENTED = -p tests.support.instrumented -p no:cacheprovider --capture=sys $(OPTIONS) $(TESTS)

# By AddressSanitizer and UndefinedBehaviorSanitizer. CPython keeps memory until its end on purpose, so leaks are not
# what is looked for.
sanitize: build
	rm -rf build/sanitize
	$(BIN)/python -m tests.package.checkout build/sanitize
	cd build/sanitize && FASTWSGI_SANITIZE=1 $(abspath $(BIN))/python setup.py --quiet build_ext --inplace
	cd build/sanitize && PYTHONPATH="$(CURDIR)/build/sanitize" PYTHONMALLOC=malloc \
		LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		$(abspath $(BIN))/python -m pytest $(INSTRUMENTED)

# With every index looked at, and by the debug hooks of CPython what is written beside an allocation.
checked: build
	rm -rf build/checked
	$(BIN)/python -m tests.package.checkout build/checked
	cd build/checked && FASTWSGI_DEBUG=1 $(abspath $(BIN))/python setup.py --quiet build_ext --inplace
	cd build/checked && PYTHONPATH="$(CURDIR)/build/checked" PYTHONMALLOC=debug \
		$(abspath $(BIN))/python -m pytest $(INSTRUMENTED)

# make leaks COUNT=100000 SHAPE=GET
leaks: build
	$(BIN)/python -m tests.leaks $(addprefix --count ,$(COUNT)) $(if $(SHAPE),--shape '$(SHAPE)') $(OPTIONS)

# make chaos SCENARIO=S9 MODEL=inline; with LONG=1 what can be made longer is: ten million requests.
chaos: build
	$(BIN)/python -m tests.chaos $(if $(LONG),--longest) $(addprefix --scenario ,$(SCENARIO)) $(addprefix --model ,$(MODEL)) $(OPTIONS)

# This server beside those that make bench-peers has installed.
conformance: build
	$(BIN)/python -m tests.conformance $(OPTIONS)

# Needs clang. make fuzz SECONDS=600 TARGET=head
fuzz: build
	$(BIN)/python -m tests.fuzz $(addprefix --seconds ,$(SECONDS)) $(addprefix --target ,$(TARGET)) $(OPTIONS)

# make bench OPTIONS='--rounds 3 --servers fastwsgi bjoern'; the page stands in build/bench/report afterwards.
bench: $(BENCHED)
	$(BIN)/python -m bench compare $(OPTIONS)
	$(BIN)/python -m bench report

# The other servers, into an environment of their own.
bench-peers: build
	$(BIN)/python -m bench peers $(OPTIONS)

# make bench-locust, bench-instructions, bench-connections …: the other sub-commands
bench-parser bench-locust bench-scale bench-instructions bench-interpreters bench-syscalls bench-connections bench-start bench-soak bench-report: bench-%: $(BENCHED)
	$(BIN)/python -m bench $* $(OPTIONS)

# Parser, environ and writer by themselves, timed by pytest-benchmark.
bench-micro: $(BENCHED)
	$(BIN)/pytest -p no:cacheprovider $(OPTIONS) bench/micro

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

$(BENCHED): $(SOURCES) | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[test,bench]'
	touch $@ $(TESTED)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
