# `make help` shows what there is. PYTHON names the interpreter that the environment is made from.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup run test lint format bench fuzz lock build synth clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Install everything the project needs into .venv and node_modules
	@$(PYTHON) tools/setup.py

run: setup  ## Start the whole platform on this machine; Ctrl-C stops it
	@exec $(BIN)/python -m local

test: setup  ## Set up everything and run the whole test suite
	@$(PYTHON) tools/test_prerequisites.py
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n 2 $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: setup  ## Formatting, lint, types and import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup  ## Format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup  ## Measure, print a table and write bench/results.json
	@exec $(BIN)/python -m bench $(ARGS)

fuzz: setup  ## Send the API thousands of generated requests as each role; ARGS="--seed 7 --roles viewer"
	@exec $(BIN)/python -m tests.support.fuzz $(ARGS)

lock: setup  ## Resolve pyproject.toml anew into requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" \
		--all-extras pyproject.toml -o requirements.txt
	@$(BIN)/python -m infra_cdk.packaging.locking

build: setup  ## Make what Lambda gets in build/, without Docker; HOST=1: for this machine, in build-host/
	@$(BIN)/python -m infra_cdk.packaging $(if $(HOST),--host)

synth: setup  ## Write what CloudFormation gets to cdk.out/ from build/; ARGS="-c stage=prod -c database=aurora"
	@JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20 npx --no-install cdk synth --quiet $(ARGS)

clean:  ## Remove what can be made again; keeps .local, the platform's state
	@rm -rf .venv node_modules build build-host cdk.out .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache .coverage .coverage.* .setup.log
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
