# Every target works from a fresh clone: what it needs is installed first, from the lock files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MINUTES ?= 60
SEED ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup run up down demo cluster proof test soak bench check gen docs lock format clean

help:  ## Show this help.
	@echo "Holdfast: bookings that are paid for exactly once, whatever fails in between."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## Make .venv with all that run, test and check need.

$(VENV)/.installed: requirements-dev.lock pyproject.toml scripts/setup
	@PYTHON=$(PYTHON) VENV=$(VENV) scripts/setup
	@touch $@

run: setup  ## Start everything, embedded: a file of SQLite a service; TLS=1: with TLS everywhere.
	@exec $(BIN)/holdfast up $(if $(TLS),--tls)

up:  ## Start everything in containers, with MySQL, Redis, Prometheus and Grafana.
	@scripts/up

down:  ## Stop what `make up` started; the data stays.
	@scripts/down

demo: setup  ## Make a whole booking and show each step; SCENARIO=NAME: with what `holdfast cards` foretells.
	@exec $(BIN)/holdfast demo $(if $(SCENARIO),--scenario "$(SCENARIO)")

cluster: setup  ## Start three databases, Redis with Sentinel and two of each service: kill what you like.
	@exec $(BIN)/holdfast cluster

proof: setup  ## Kill each process of such a cluster in turn under load, and audit; some five minutes.
	@exec $(BIN)/holdfast cluster --prove

test: setup  ## Run every test, on SQLite and on a private MariaDB.
	@scripts/test-servers
	@$(BIN)/pytest

soak: setup  ## Kill processes at every pair of points, for MINUTES at most (60), and audit after each.
	@PYTHONPATH=tests $(BIN)/python -m support.crash_soak --minutes $(MINUTES) --seed $(SEED)

bench: setup  ## Measure what a booking costs, as ratios within one run.
	@$(BIN)/python -m bench

check: setup  ## Format, lint, types, architecture, dependencies, contracts, regeneration.
	@scripts/check

gen: setup  ## Generate gen/ from the contracts.
	@scripts/gen gen

docs: setup  ## Write the pages in docs/ that code and contracts make, or parts of.
	@$(BIN)/python scripts/docs docs gateway/console

format: setup  ## Put code and contracts in their format.
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix-only . && $(BIN)/buf format -w protos

lock: setup  ## Resolve the dependencies anew and write the lock files.
	@scripts/lock

clean:  ## Remove what the targets above made, the data of `make run` included.
	rm -rf $(VENV) var dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
