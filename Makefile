# make demo and make test do everything, the environment in .venv included. make alone lists the targets.
#   PYTHON=python3.12                                      the Python that .venv is made with (3.11 or newer)
#   TESTS="not slow"                                       other tests for make test, as pytest -m selects them
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu       a further index, here for torch without CUDA

PYTHON ?= python3
TORCH_INDEX ?=
export TORCH_INDEX

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
WORKERS := -n auto --dist loadfile --no-loadscope-reorder
TESTS ?= not network and not deployment

.DEFAULT_GOAL := help
.PHONY: help setup wheel demo demo-offline test coverage test-deployment test-fast check format lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup:  ## .venv with the pinned dependencies; does nothing when it is up to date
	@$(PYTHON) scripts/setup.py

wheel: setup  ## dist/afuic-*.whl and its sha256: what is installed elsewhere, since afuic is on no package index
	@$(BIN)/python scripts/wheel.py dist

demo: setup  ## the main job on BloodMNIST: six hospitals, one erased, four methods; ends with a table and the report's path
	@$(PYTHON) scripts/keep_previous.py runs/demo
	@$(BIN)/afuic run demo --out runs/demo --resume

demo-offline: setup  ## the same with the target hospital switched off at the moment of the request
	@$(PYTHON) scripts/keep_previous.py runs/demo-offline
	@$(BIN)/afuic run demo --out runs/demo-offline --set requests.0.target_online=false --resume

test: check  ## check, then all tests that need no servers
	@$(PYTEST) $(WORKERS) -m "$(TESTS)"

coverage: setup  ## the same tests without check, with their coverage; takes some two fifths longer
	@$(PYTEST) $(WORKERS) -m "$(TESTS)" --cov --cov-report=term

test-deployment: setup  ## the tests that start Flower, PostgreSQL and nginx on this machine
	@$(PYTEST) $(WORKERS) -m "deployment"

test-fast: setup  ## the tests without those that take minutes
	@$(PYTEST) $(WORKERS) -m "not network and not slow and not deployment" -q

check: setup  ## style, types and the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup  ## put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: setup  ## write requirements.lock from the versions in .venv
	@$(BIN)/python scripts/lock.py

clean:  ## remove .venv, caches and build products; runs stay
	@rm -rf .venv build dist src/*.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
