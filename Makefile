# imgscope: `make run` opens it, `make test` tests it. Both do their own set-up, in .venv.

VENV := .venv
BIN := $(VENV)/bin
# Arguments of the program or of pytest: make run ARGS=demo:bigfile, make test ARGS="-k overlay"
ARGS ?=
# Test processes at once, each with a daemon of its own. JOBS=0: only this one, for --pdb and -s.
JOBS ?= 2
# The Python to use instead of the newest one found.
PYTHON ?=

PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check
SOURCES := tui tests $(wildcard screenshots/*.py)

.PHONY: help run test check lint format bench screenshots clean
.DEFAULT_GOAL := help

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/.run  ## open imgscope, on your engine or on the demo images
	@$(BIN)/python -m imgscope $(ARGS)

test: $(VENV)/.test  ## set up and run the tests (as root on Debian or Ubuntu: the engine's too)
	@sh tests/setup.sh || echo 'not all packages could be installed: the tests that miss one say so' >&2
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

check: lint test  ## format, lint, types and tests: what a change must pass

lint: $(VENV)/.dev  ## format, lint and types, nothing changed
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

format: $(VENV)/.dev  ## format the code and mend what ruff can
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.test  ## measure imgscope beside dive, half an hour: make bench ARGS="--only plain gzip"
	@sh tests/setup.sh || echo 'not all packages could be installed: the cases that miss one say so' >&2
	$(BIN)/python -m tests.bench $(or $(ARGS),--output tests/bench/RESULTS.md)

screenshots: $(VENV)/.test  ## draw screenshots/*.svg with the real program
	$(BIN)/python screenshots/make.py

clean:  ## remove all that make has made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "installing imgscope into $(VENV) …"
	@$(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	@echo "installing imgscope and its tests into $(VENV) …"
	@$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing imgscope, its tests and its checks into $(VENV) …"
	@$(PIP) -e '.[test,dev]'
	@touch $@ $(VENV)/.test $(VENV)/.run

# The first Python that is new enough and can make an environment. Debian packs the module that can
# apart: root gets it, others are told.
$(BIN)/python:
	@suits='import sys; sys.exit(sys.version_info < (3, 11))'; \
	pythons="$(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3)"; found=; \
	for python in $$pythons; do \
		$$python -c "$$suits" 2>/dev/null || continue; \
		found=$${found:-$$python}; \
		$$python -c 'import ensurepip, venv' 2>/dev/null && { found=$$python; break; }; \
	done; \
	if [ -z "$$found" ]; then \
		echo "imgscope needs Python 3.11 or newer, and there is none among: $$pythons" >&2; exit 1; \
	fi; \
	if ! $$found -c 'import ensurepip, venv' 2>/dev/null; then \
		package=$$($$found -c 'import sys; print("python3.%d-venv" % sys.version_info[1])'); \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			export DEBIAN_FRONTEND=noninteractive; \
			apt-get update -qq </dev/null && apt-get install -y -qq "$$package" </dev/null >/dev/null || exit 1; \
		else \
			echo "$$found cannot make an environment: install it with 'sudo apt install $$package'" >&2; exit 1; \
		fi; \
	fi; \
	$$found -m venv --clear $(VENV)
