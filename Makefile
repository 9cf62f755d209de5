# Every target does its own set-up: git, make and a Python from 3.11 to 3.13 with venv are enough.

BIN := .venv/bin
READY := .venv/.fargsim-ready
WORKERS ?= 2

.PHONY: demo test test-slow bench readme-picture clean help

help: ## Show the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

demo: $(READY) ## Fargate or EC2? Run the five variants of one web service, compare them, write out/demo.
	@$(BIN)/fargsim run scenarios/fargate-vs-ec2.yaml --output out/demo --force

test: $(READY) ## Everything a change must pass: style, types, import contracts, tests, doctests, notebooks.
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal -m "not slow" --doctest-modules tests fargsim
	@echo "make test: all passed"

test-slow: $(READY) ## The long statistical and performance runs.
	$(BIN)/python -m pytest --numprocesses $(WORKERS) -m slow tests

bench: $(READY) ## Measure against the goals; writes docs/performance.md.
	$(BIN)/python benchmarks/report.py

readme-picture: $(READY) ## Draw the pictures of the README anew, from a real run.
	$(BIN)/python docs/make_pictures.py

clean: ## Remove whatever make made.
	rm -rf .venv out build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements/lock.txt requirements/environment.sh pyproject.toml
	@PYTHON="$(PYTHON)" sh requirements/environment.sh
	@touch $@
