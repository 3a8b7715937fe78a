# Two commands set everything up on a fresh machine: `make demo` and `make test`. Both make their own environment.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs clean

help:  ## say what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) with pinned dependencies (about 2 minutes, 1.6 GB on disk) ..."
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info < (3, 14) else "fairsqueeze needs Python 3.10 to 3.13; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint,torchao,bitsandbytes,excel,ray,s3,mlflow]'
	@touch $(READY)

demo: $(READY)  ## prune a real language model, measure performance and bias, write a report (about 4 minutes after set-up)
	@$(BIN)/python recipes/demo.py

test: $(READY)  ## run the tests (under 15 minutes)
	@echo "Running the tests (up to 15 minutes on 2 cores; the first run fetches about 240 MB from the package index) ..."
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## check style and types
	@$(BIN)/ruff check src tests recipes && $(BIN)/ruff format --check src tests recipes && $(BIN)/mypy

docs: $(READY)  ## regenerate the generated reference pages
	@$(BIN)/python recipes/reference_docs.py
	@$(BIN)/python recipes/studies_page.py

clean:  ## remove the environment and what was run here
	rm -rf $(VENV) runs
