# Every target works in a fresh clone: it installs what it needs first. State lives under var/ only.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# On Linux the default torch wheel brings CUDA; TORCH_INDEX_URL picks another source, e.g. PyTorch's CPU index.
TORCH_INDEX_URL ?=
export TORCH_INDEX_URL
DATA ?=
SPEED ?=
WORKERS ?= 2
RUNS ?= 20
SEED ?= 1
WORLDS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo smoke test lint types check services-test browser-test chaos peers clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.installed: requirements/core.txt requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed; set PYTHON=...")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) requirements/install.py requirements/core.txt requirements/dev.txt
	@touch $@

setup: $(VENV)/.installed  ## Make .venv with pinned dependencies and a migrated database
	@$(PY) manage.py migrate -v 0

demo: setup  ## Train an agent and watch it trade at http://127.0.0.1:8000 (DATA=FILE, SPEED=60)
	@$(PY) -m tradebot.demo $(if $(DATA),--data $(DATA),) $(if $(SPEED),--speed $(SPEED),)

smoke: setup  ## The demo headless: exit 0 only when the whole chain worked
	@$(PY) -m tradebot.demo --smoke $(if $(DATA),--data $(DATA),)

test: setup  ## The whole test suite on SQLite and the database broker
	$(PY) -m pytest -n $(WORKERS)

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed
	$(VENV)/bin/mypy

check: lint types test  ## Lint, types and tests

services-test: setup  ## The suite on PostgreSQL and Redis (installed by apt when absent, started on loopback)
	PY=$(PY) .ci/services $(PY) -m pytest -n $(WORKERS)

browser-test: setup  ## The tests that drive headless Chromium
	$(PY) -m pytest -m browser

chaos: setup  ## Chaos runs: RUNS=20 SEED=1 WORLDS=2; the last line is a summary (docs/reliability.md)
	$(PY) -m tests.chaos --runs $(RUNS) --seed $(SEED) --worlds $(WORLDS)

peers:  ## Install other projects' environments for `bench env|train --set peers=var/peers/bin/python`
	$(PYTHON) -m venv var/peers
	var/peers/bin/pip install --quiet -r benchmarks/peers/requirements.txt
	var/peers/bin/pip install --quiet --no-deps finrl==0.3.7

clean:  ## Remove all state (database, candles, models)
	rm -rf var
