# Holdfast from a fresh clone: needs make, pip and Python 3.11 or later, nothing else.
# `make run ARGS="--settings FILE"` and `make test PYTEST_ARGS="-k trailing"` pass words on.

PYTHON ?= python3
ARGS ?=
PYTEST_ARGS ?=
FILES ?=
MINUTES ?= 1
SEED ?=
FAULTS ?= 3
RUNNER ?= pytest

VENV := .venv
PY := $(VENV)/bin/python
RUN_READY := $(VENV)/.requirements
DEV_READY := $(VENV)/.requirements-dev
MUTATION_READY := $(VENV)/.requirements-mutation
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check -r

# ccxt takes seconds to compile when no bytecode may be kept.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help run simulate mutate bench chaos docs events test test-chaos lint types imports clean

help:
	@echo 'make run     the service, with the settings of settings.toml (Ctrl-C stops it in order)'
	@echo 'make simulate MINUTES=n FAULTS=k   random schedules of faults over the real actors, in virtual time'
	@echo 'make mutate FILES="domain/…"   small changes to domain/: how many the tests notice (docs/mutation.md)'
	@echo 'make bench   speed and memory, about six minutes (docs/measurements.md); ARGS=--quick for a smoke'
	@echo 'make test    ruff, mypy, import directions, pytest'
	@echo 'make test-chaos   every fault of a venue at the running service, on each venue'
	@echo 'make chaos MINUTES=n [SEED=s]   the service, two accounts and a monkey that breaks everything; a table at the end'
	@echo 'make docs    docs/events.md anew, from domain/catalogue.py'
	@echo 'make events  which events no running service produced in the last test and test-chaos'
	@echo 'make clean   removes .venv and caches; state/ stays'

# exec: the service takes the place of the shell, so that a signal reaches it.
run: $(RUN_READY)
	@exec $(PY) main.py run $(ARGS)

# The simulation shares the processors out by itself; all other tests mostly wait, so that three files beside each
# other do not fill two processors. Where processes are killed and their recovery is timed it is two.
# With words of your own (PYTEST_ARGS) it is one plain run. RUNNER=tests.tried_again: see there (.ci/run).
BESIDE := --dist loadfile

test: lint types imports
ifeq ($(strip $(PYTEST_ARGS)),)
	$(PY) -m tests.end_to_end.produced --new
	$(PY) -m $(RUNNER) -m "not chaos" tests/simulation
	$(PY) -m $(RUNNER) -m "not chaos" --ignore tests/simulation -n 3 $(BESIDE)
else
	$(PY) -m pytest -m "not chaos" $(PYTEST_ARGS)
endif

test-chaos: $(DEV_READY)
ifeq ($(strip $(PYTEST_ARGS)),)
	$(PY) -m $(RUNNER) -m chaos -n 2 $(BESIDE)
else
	$(PY) -m pytest -m chaos $(PYTEST_ARGS)
endif

# The same SEED does the same things in the same order; a run that found a violation exits 1 and says where its files are.
chaos: $(DEV_READY)
	$(PY) -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

# FAULTS: how many classes of faults may come together in one schedule; 99 is no limit.
simulate: $(DEV_READY)
	$(PY) -m tests.simulation --minutes $(MINUTES) --most-faults $(FAULTS)

mutate: $(MUTATION_READY)
	$(PY) -m tests.mutation $(FILES)

bench: $(DEV_READY)
	$(PY) -m benchmarks.all $(ARGS)

# After `make test` and `make test-chaos`: services of both have to have produced every event of the catalogue.
events: $(DEV_READY)
	$(PY) -m tests.end_to_end.produced

docs: $(DEV_READY)
	$(PY) -m tests.unit.domain.events_page

lint: $(DEV_READY)
	$(PY) -m ruff check .

types: $(DEV_READY)
	$(PY) -m mypy

imports: $(DEV_READY)
	$(PY) $(VENV)/bin/lint-imports

# A stamp is written last: an installation that was cut short is done again, a finished one only when its list changes.
$(RUN_READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	@echo 'Installing requirements into $(VENV), once; this takes about a minute.'
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) requirements.txt
	@touch $@

$(DEV_READY): requirements-dev.txt $(RUN_READY)
	@echo 'Installing test requirements into $(VENV), once.'
	@$(INSTALL) requirements-dev.txt
	@touch $@

$(MUTATION_READY): tests/mutation/requirements.txt $(DEV_READY)
	@echo 'Installing mutation-test requirements into $(VENV), once.'
	@$(INSTALL) tests/mutation/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './state/*' -prune -exec rm -rf {} +
