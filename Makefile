# `make demo` and `make test` are all that a visitor needs; the rest is for contributors.
PY ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint format types docs import-time dist clean

demo: $(VENV)/.done
	$(BIN)/python -m latentsearch demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev
	$(BIN)/python -m mypy --strict

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

import-time: $(VENV)/.done
	$(BIN)/python examples/benchmarks/import_time.py

dist: $(VENV)/.dev
	$(BIN)/python -m build

# Each stamp adds its extras to the same environment, so the targets work in any order.
$(VENV)/.done: pyproject.toml
	test -x $(BIN)/python || $(PY) -m venv $(VENV)
	$(BIN)/python -m pip install -q -e ".[progress]"
	touch $@

$(VENV)/.test: $(VENV)/.done
	$(BIN)/python -m pip install -q -e ".[test]"
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/python -m pip install -q -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) site dist
