# checkup-gateway: `make run` shows the main job, `make test` proves it. Each does all of its own set-up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: setup run test check bench lock fuzz faults faults-long test-bluetooth clean
.DEFAULT_GOAL := run

# An installation that was cut off leaves `.installing` behind: that environment is made anew, not mended.
define environment
@test ! -e $(1)/.installing || rm -rf $(1)
@test -x $(1)/bin/python || $(PYTHON) -m venv $(1) || { echo "python3 -m venv failed: on Debian, apt install python3-venv"; exit 1; }
@touch $(1)/.installing
endef

$(VENV)/.service: requirements/service.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "Python 3.11 to 3.13 is needed; set PYTHON=..."; exit 1; }
	@echo "setup: installing the service (locked, with hashes)"
	$(call environment,$(VENV))
	@$(PIP) --require-hashes -r requirements/service.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@rm $(VENV)/.installing && touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.service
	@echo "setup: installing the development tools (locked, with hashes)"
	@touch $(VENV)/.installing
	@$(PIP) --require-hashes -r requirements/dev.lock
	@rm $(VENV)/.installing && touch $@

.venv-fhir/.ready: requirements/fhir-server.lock
	@echo "setup: installing the FHIR server into its own environment (locked, with hashes)"
	$(call environment,.venv-fhir)
	@.venv-fhir/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fhir-server.lock
	@rm .venv-fhir/.installing && touch $@

setup: $(VENV)/.dev .venv-fhir/.ready

run: $(VENV)/.service .venv-fhir/.ready
	@$(BIN)/checkup-gateway demo

test: setup
	@tests/debian.sh
	@$(MAKE) --no-print-directory check
	@$(BIN)/pytest -n 2 --dist loadgroup
	@tests/bluetooth_vm/test.sh quick
	@$(MAKE) --no-print-directory faults

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: setup
	@$(BIN)/python -m tools.bench

FUZZ ?= --seconds 600 --keep
fuzz: $(VENV)/.dev
	@$(BIN)/python -m tools.fuzz $(FUZZ)

faults: setup
	@tests/debian.sh
	@$(BIN)/python -m tools.faults

test-bluetooth: setup
	@$(BIN)/pytest -n 2 tests/ble
	@tests/bluetooth_vm/test.sh full

faults-long: setup
	@tests/debian.sh
	@$(BIN)/python -m tools.faults --long

lock:
	@for set in service:build dev:dev; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    pyproject.toml --group $${set#*:} -o requirements/$${set%:*}.lock; done
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --group fhir-server -o requirements/fhir-server.lock

clean:
	@rm -rf $(VENV) .venv-fhir .run
