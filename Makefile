# `make help` lists the targets. Everything runs from a bare clone with Python 3.11 and pip; some checks also need Java and Maven.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOJO := .venv-agentdojo
TAU := .venv-tau
MCP_SUITE := .waggle/conformance/node_modules/@modelcontextprotocol/conformance/package.json
# Test files that run at the same time, each worker with a broker, a Redis and a Postgres of its own. Files run in the
# order of their paths, those of the whole swarm last.
WORKERS ?= 2
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Failed tests are run once more alone: two workers on two cores can delay a test past its limits.
ALONE = $(BIN)/python -m pytest --last-failed --last-failed-no-failures none
.PHONY: help setup demo up down test kafka test-kafka lint types schemas reference check faults faults-slice new-agent bench \
	alerts-check compose-check k8s-check trace-check mcp-conformance evals evals-gate evals-agentdojo evals-tau clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY) ## Create .venv with the locked dependencies (done by every other target)

$(READY): requirements.lock pyproject.toml
	@echo "Making $(VENV) with the locked dependencies; this takes about a minute the first time."
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Waggle needs Python 3.11 or newer; set PYTHON=…")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Run the main job: an incident in 60,000 orders is found, explained and mailed
	@$(BIN)/waggle demo

up: setup ## Start everything on this machine: Kafka, Redis, Postgres, a simulated model and all services
	@$(BIN)/waggle up

down: setup ## Stop what `make up` started
	@$(BIN)/waggle down

test: setup ## Run all tests on the embedded broker
	$(BIN)/python -m pytest $(PARALLEL) || $(ALONE)

kafka: setup ## Start a real Apache Kafka without Docker (needs Java 17 and Maven), or use WAGGLE_KAFKA
	@$(BIN)/python -m infra.kafka

test-kafka: setup ## Run the integration tests on real Apache Kafka (needs Java 17 and Maven, or WAGGLE_KAFKA)
	$(BIN)/python -m pytest -m 'broker and not compose' --kafka real $(PARALLEL) || $(ALONE) --kafka real

faults: setup ## Inject faults into the running swarm for two hours, write docs/reports/faults.md (needs Java and Maven)
	$(BIN)/python -m tests.faults
	$(BIN)/python -m tests.faults.verifier --minutes 30 --report
	$(BIN)/python -m tests.faults.verifier --minutes 30 --report --kafka real

faults-slice: setup ## The part of `make faults` that CI runs: some minutes, on the embedded broker
	$(BIN)/python -m pytest tests/faults -m "faults and quick"

lint: setup ## Check style and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup ## Check types
	$(BIN)/mypy

alerts-check: setup ## Check the alert rules, each firing and silent (promtool: the installed one, or Debian's)
	@$(BIN)/python -m infra.alerts

schemas: setup ## Write schemas/published from the models
	$(BIN)/python -m schemas.publish

reference: setup ## Write the generated pages and tables of the documentation
	$(BIN)/python -m reference

compose-check: setup ## Check docker-compose.yml without Docker, and run its processes on this machine
	$(BIN)/python -m infra.compose
	$(BIN)/python -m pytest tests/e2e/test_compose.py -m compose

k8s-check: setup ## Check that k8s/ is valid, passes a strict linter and matches the code (needs Maven; fetches the rest once)
	@$(BIN)/python -m infra.manifests check

check: lint types ## Everything CI runs
	$(BIN)/python -m schemas.publish --check
	$(BIN)/python -m reference --check
	$(MAKE) alerts-check
	$(MAKE) k8s-check
	$(MAKE) test
	$(MAKE) test-kafka
	$(MAKE) faults-slice
	$(MAKE) compose-check

new-agent: setup ## Create a new specialist: make new-agent name=translator
	@$(BIN)/python -m infra.new_agent "$(name)"

bench: setup ## Measure hops, runs, load, bytes and recovery against raw Kafka, and print one table
	$(BIN)/python -m tests.bench

evals: setup ## Attack the agents with a fully obedient model, count the effects outside, write docs/reports/evals.md
	$(BIN)/python -m tests.evals

evals-gate: setup ## Run the bundled suites on a swarm of their own; fail below a pass rate of 0.95, or on a drop from WAGGLE_EVALS_BASELINE
	@$(BIN)/python -m tests.suites

evals-agentdojo: $(DOJO)/.ready ## Run AgentDojo's suites through the gate, for docs/reports/evals.md (an environment of its own, some 700 MB)
	$(DOJO)/bin/python -W ignore -m tests.evals.dojo

$(DOJO)/.ready: requirements.lock tests/evals/dojo/requirements.lock
	@echo "Making $(DOJO) with AgentDojo and what it needs; this takes some minutes the first time."
	@test -x $(DOJO)/bin/python || $(PYTHON) -m venv $(DOJO)
	@$(DOJO)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock -r tests/evals/dojo/requirements.lock
	@touch $@

evals-tau: setup $(TAU)/.ready ## Replay tau2-bench's gold trajectories while agents are killed, write docs/reports/tau.md (an environment of its own, some 430 MB)
	$(BIN)/python -m tests.evals.tau $(TAU)/bin/python --write-docs

$(TAU)/.ready: tests/evals/tau/requirements.lock
	@echo "Making $(TAU) with tau2-bench and what it needs; this takes a minute the first time."
	@test -x $(TAU)/bin/python || $(PYTHON) -m venv $(TAU)
	@$(TAU)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tests/evals/tau/requirements.lock
	@touch $@

trace-check: setup ## Run the demo against a real Jaeger and compare the trace (not in `check`: building Jaeger takes minutes, once)
	$(BIN)/python -m tests.traces

mcp-conformance: setup $(MCP_SUITE) ## Run MCP's conformance suite against `waggle mcp` and print the figures (needs npm; not in `check`: 200 MB)
	$(BIN)/python -m pytest -q -s tests/conformance/test_mcp.py

$(MCP_SUITE): Makefile
	@mkdir -p .waggle/conformance
	@npm install --silent --no-audit --no-fund --prefix .waggle/conformance @modelcontextprotocol/conformance@0.2.0-alpha.12 node@22.23.3
	@touch $@

clean: ## Remove the files of the other targets (`make down` stops processes)
	rm -rf $(VENV) $(DOJO) $(TAU) .pytest_cache .mypy_cache .ruff_cache .hypothesis
