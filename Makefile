# The contributor's map: `make` lists what there is. Every target first sets up what it lacks (scripts/bootstrap.sh).
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV ?= .venv
export VENV PYTHON
BIN := $(VENV)/bin

# Test files are spread over two processes that share one PostgreSQL; a file stays in one process, with the servers it starts.
# In the order of the folders: the few slow ones of acceptance come first, so that no process is left alone with one.
PYTEST := $(BIN)/python -m pytest -n $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder
PORT ?= 8000
ARGS ?=

.PHONY: help
help: ## This list
	@printf 'Langyard, for contributors. A machine with Python 3.11 to 3.13, make and a package index is enough.\n'
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables\n'
	@printf '  %-18s %s\n' PYTHON=python3.12 'the interpreter of the environment (else the first suitable one)' \
		'ARGS="-k claim -x"' 'more arguments for pytest, serve, demo, bench, lock' \
		WORKERS=0 'tests in one process, for a debugger' PORT=8080 'for serve'
	@printf '\nWhere things lie and how a change goes: CONTRIBUTING.md\n'

.PHONY: setup
setup: ## Make the environment in .venv; at once when it stands
	@scripts/bootstrap.sh

##@ See it run
.PHONY: demo
demo: setup ## Start a server, send it the research workflow, watch four agents write a report, stop it
	@$(BIN)/python scripts/demo.py $(ARGS)

.PHONY: serve
serve: setup ## Serve examples/research on http://127.0.0.1:8000 with a PostgreSQL of its own
	@cd examples/research && "$(abspath $(BIN))/langyard" serve --port $(PORT) $(ARGS)

.PHONY: bench
bench: setup ## Measure against the bare graph and its rivals, side by side
	@$(BIN)/python -m benchmarks $(ARGS)

##@ Work on it
.PHONY: test
test: setup ## All tests, on a real PostgreSQL that starts and stops with them
	@$(PYTEST) $(ARGS)

.PHONY: test-fast
test-fast: setup ## The tests that take less than ten seconds each
	@$(PYTEST) -m "not slow" $(ARGS)

.PHONY: chaos
chaos: setup ## Kill, freeze and cut off servers under load, and check what is promised; two minutes, ARGS="--seed 7 --minutes 10"
	@$(BIN)/python -m tests.acceptance.chaos $(ARGS)

.PHONY: test-poolers
test-poolers: setup ## What must hold behind PgBouncer, brought from Debian's packages; not part of check
	@$(BIN)/python -m pytest -n 0 tests/poolers/pgbouncer.py $(ARGS)

.PHONY: fuzz
fuzz: setup ## Make up requests from /openapi.json for ten minutes: no answer above 499, none the document does not have
	@FUZZ_SECONDS=$(or $(FOR),600) $(BIN)/python -m pytest -q -n 0 -s tests/acceptance/test_made_up_requests.py $(ARGS)

.PHONY: differential
differential: setup ## Ask LangGraph's own server and ours the same hundreds of questions; print where answers differ
	@$(BIN)/python -m tests.differential $(ARGS)

.PHONY: check
check: format-check lint types fence test ## Everything that must hold before a commit lands

.PHONY: format
format: setup ## Format, sort imports, mend what ruff can mend
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

.PHONY: format-check
format-check: setup
	@echo "· Format"
	@$(BIN)/ruff format --check

.PHONY: lint
lint: setup ## Lint only
	@echo "· Lint"
	@$(BIN)/ruff check

.PHONY: types
types: setup ## Strict types only
	@echo "· Types"
	@$(BIN)/mypy src tests $(wildcard examples benchmarks scripts/*.py)

.PHONY: fence
fence: setup ## Who may import whom: .importlinter, the layers of docs/explanation/architecture.md
	@echo "· Import fence"
	@$(BIN)/lint-imports --no-logo

##@ Look after it
.PHONY: lock
lock: setup ## Pin requirements/ again from pyproject.toml (ARGS="--upgrade" for newer versions)
	@UV=$(BIN)/uv scripts/lock.sh $(ARGS)

.PHONY: clean
clean: ## Remove the environment, caches and build products (never .langyard, where the data lies)
	@[ ! -f "$(VENV)/pyvenv.cfg" ] || rm -rf "$(VENV)"
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './node_modules/*' -prune -exec rm -rf {} +
