# Set-up, demo, tests and checks of the Endpoint Chain Manager. `make` alone lists the targets.

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
# Modules are compiled when first imported (--no-compile): most of pulumi-aws never is, and it is the largest.
# On a terminal pip shows its progress; elsewhere it only reports errors.
PIP := $(BIN)/python -m pip --disable-pip-version-check $(shell [ -t 2 ] || echo --quiet)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup toolchain demo test faults check bench bench-quick lock golden clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(STAMPS)/project toolchain ## create .venv from the lock and get a Pulumi toolchain (instant when done)

demo: setup ## run the main job end to end against an embedded AWS
	@$(BIN)/ecm demo

test: setup ## run every test
	@$(BIN)/python -m pytest -n auto --dist loadfile -q

faults: setup ## the long fault campaign: fifty killed runs, and every other fault with more seeds (root)
	@ECM_KILLS=50 $(BIN)/python -m pytest -n auto --dist loadfile -q tests/e2e/test_kills.py tests/e2e/test_faults.py

check: setup ## formatting, lint, types and import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/mypy -p tools.toolchain -p tools.standin
	@$(BIN)/lint-imports

bench: setup ## every benchmark in full
	@$(BIN)/python -m benchmarks.plan_scale
	@$(BIN)/python -m benchmarks.pulumi_overhead
	@$(BIN)/python -m benchmarks.reconcile_noop
	@$(BIN)/python -m benchmarks.reconcile_days --twice
	@$(BIN)/python -m benchmarks.provisioning
	@$(BIN)/python -m benchmarks.provisioning --sixty-days
	@$(BIN)/python -m benchmarks.assignment
	@$(BIN)/python -m benchmarks.routing_scale
	@$(BIN)/python -m benchmarks.forecast_scale
	@$(BIN)/python -m benchmarks.history
	@$(BIN)/python -m benchmarks.service
	@$(BIN)/python -m benchmarks.service --postgres
	@$(BIN)/python -m benchmarks.failover
	@$(BIN)/python -m benchmarks.chain_throughput
	@$(BIN)/python -m benchmarks.events
	@$(BIN)/python -m benchmarks.cold_start
	@$(BIN)/python -m benchmarks.level_shift

bench-quick: setup ## the benchmarks as CI runs them
	@$(BIN)/python -m benchmarks.plan_scale --quick
	@$(BIN)/python -m benchmarks.pulumi_overhead --quick
	@$(BIN)/python -m benchmarks.provisioning --quick
	@$(BIN)/python -m benchmarks.assignment --quick
	@$(BIN)/python -m benchmarks.routing_scale --quick
	@$(BIN)/python -m benchmarks.forecast_scale --quick
	@$(BIN)/python -m benchmarks.history --quick
	@$(BIN)/python -m benchmarks.service --quick
	@$(BIN)/python -m benchmarks.events --quick
	@$(BIN)/python -m benchmarks.cold_start --quick
	@$(BIN)/python -m benchmarks.level_shift --quick
	@$(BIN)/python -m benchmarks.reconcile_days --quick

# A failure only warns: whatever needs no Pulumi works without it, and what needs it says so.
toolchain: $(STAMPS)/project
	@$(BIN)/python -m tools.toolchain --link $(BIN) >/dev/null || \
		{ code=$$?; [ $$code -eq 69 ] || exit $$code; echo "Going on without Pulumi." >&2; }

$(STAMPS)/project: $(STAMPS)/packages pyproject.toml ecm/__init__.py
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(STAMPS)/packages: requirements.lock
	@PYTHON="$(PYTHON)" tools/venv.sh $(VENV)
	@echo "Installing the locked packages into $(VENV)" >&2
	@$(PIP) install --no-compile --require-hashes --requirement requirements.lock
	@mkdir -p $(STAMPS) && touch $@

lock: $(STAMPS)/packages ## resolve the dependencies again and write requirements.lock
	@$(BIN)/python -m venv .cache/lock && .cache/lock/bin/python -m pip --disable-pip-version-check install --quiet uv
	@.cache/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev \
		--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--output-file requirements.lock pyproject.toml
	@! grep -nE '://|^-|file:' requirements.lock || { echo "requirements.lock names a place" >&2; exit 1; }

golden: setup ## write the golden files again from what the code renders now
	@$(BIN)/python -m tests.golden.update

clean: ## remove what the targets made here (the Pulumi cache outside stays)
	@rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
