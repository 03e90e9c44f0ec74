# The words of this project; `make` alone lists them. Python 3.11 or newer, git and make are all that they need.

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTHONS := 3.11 3.12 3.13 3.14 3.15
PACKAGES := agents supervisor topologies
SPREAD := --numprocesses=auto --maxprocesses=8 --dist=worksteal
export PYTHON

.PHONY: help
help: ## list the words
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## run the watchdog example; FOR=30 ends after 30 s, JOURNAL=file.db, JSON=1 for JSON Lines
	@tools/venv .venv run
	@exec $(BIN)/treewarden run examples/watchdog/watchdog.toml \
		$(if $(FOR),--for $(FOR)) $(if $(JOURNAL),--journal "$(JOURNAL)") $(if $(JSON),--json)

.PHONY: env
env: ## make .venv, or bring it up to date; PYTHON=/path/to/python chooses
	@tools/venv .venv dev

.PHONY: test
test: env ## run the tests on all cores; ARGS="-k mailbox -x" goes to pytest, "-n 0 --pdb" to debug one
	@$(BIN)/pytest $(SPREAD) $(ARGS)

.PHONY: search
search: env ## run the tests with a new random search of Hypothesis's each time
	@$(BIN)/pytest $(SPREAD) --hypothesis-profile=search $(ARGS)

.PHONY: test-all
test-all: ## run the tests on every CPython from 3.11 to 3.15 that this machine has
	@export PYTHON=; found=; missing=; failed=; \
	for version in $(PYTHONS); do \
		if ! tools/find-python $$version >/dev/null 2>&1; then missing="$$missing $$version"; continue; fi; \
		echo "== Python $$version"; \
		if tools/venv build/venv-$$version dev $$version && build/venv-$$version/bin/pytest $(SPREAD) $(ARGS); \
		then found="$$found $$version"; else failed="$$failed $$version"; fi; \
	done; \
	$(MAKE) --no-print-directory traces || failed="$$failed traces"; \
	echo "passed:$${found:- none}"; \
	if [ -n "$$missing" ]; then echo "not on this machine:$$missing"; fi; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi; \
	[ -n "$$found" ]

.PHONY: traces
traces: ## compare the traces of our own trees on every CPython of this machine, under another PYTHONHASHSEED each; SEEDS=420
	@export PYTHON=; mkdir -p build/traces; rm -f build/traces/*; \
	for version in $(PYTHONS); do \
		if ! tools/find-python $$version >/dev/null 2>&1; then continue; fi; \
		tools/venv build/venv-$$version dev $$version || exit 1; \
		PYTHONHASHSEED=$${version#3.} build/venv-$$version/bin/treewarden chaos own --hashes --seeds $(or $(SEEDS),84) \
			>build/traces/$$version || exit 1; \
	done; \
	for traces in build/traces/*; do \
		first=$${first:-$$traces}; \
		cmp "$$first" "$$traces" || exit 1; \
	done; \
	echo "the same $$(wc -l <"$$first") traces on: $$(ls build/traces | paste -sd ' ')"

.PHONY: conformance
conformance: env ## run the vectors recorded from Erlang/OTP; FILE=other.json, ARGS="--only NAME --verbose"
	@$(BIN)/python tests/conformance/run_vectors.py $(or $(FILE),tests/conformance/vectors-recorded.json \
		tests/conformance/vectors-public.json) $(ARGS)

.PHONY: crash
crash: env ## cut the power at every moment of small workloads; STATES=1000000, SEED=1 for others
	@$(BIN)/python -m tests.crash.explorer.run --states $(or $(STATES),20000) --seed $(or $(SEED),0)

.PHONY: soak
soak: env ## fill up a real disk (as root), refuse every call to a disk, and kill processes for a long time; KILLS=1000 of each kind, 300 otherwise
	@$(BIN)/pytest -o faulthandler_timeout=0 tests/soak $(ARGS)
	@KILLS=$(or $(KILLS),300) TREEWARDEN_KILLS=$(or $(KILLS),300) $(BIN)/pytest -o faulthandler_timeout=0 tests/crash -k kill $(ARGS)

.PHONY: test-beside
test-beside: env ## install the wheel beside openai-agents and supervisor (uses the network)
	@$(BIN)/pytest tests/network $(ARGS)

.PHONY: bench
bench: env ## measure the kernel beside handwritten trio and the peers; ARGS="--quick --only ask-one"
	@$(BIN)/python benchmarks/kernel.py $(ARGS)

.PHONY: bench-journal
bench-journal: env ## measure the journal beside plain SQLite commits; ARGS="--quick --only asks"
	@$(BIN)/python benchmarks/journal.py $(ARGS)

.PHONY: bench-decisions
bench-decisions: env ## measure how fast is decided, executed and kept; ARGS="--quick --only fold"
	@$(BIN)/python benchmarks/decisions.py $(ARGS)

.PHONY: bench-colony
bench-colony: env ## kill the workers and the controller of durable work, beside a naive runner; ARGS="--seeds 0-2 --profile hostile"
	@$(BIN)/python benchmarks/colony.py $(ARGS)

.PHONY: bench-peers
bench-peers: env ## install the peers into build/peers; RAY=1 for Ray too (uses the network)
	@test -x build/peers/bin/python || $(BIN)/python -m venv build/peers
	@build/peers/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		-r benchmarks/peers.txt $(if $(RAY),-r benchmarks/peers-ray.txt)

.PHONY: chaos
chaos: env ## run our own trees in worlds that seeds decide about, and kill at every place; SEEDS=10000, SWEEP=all|small|none
	@$(BIN)/treewarden chaos own --seeds $(or $(SEEDS),10000) --sweep $(or $(SWEEP),$(if $(SEEDS),small,all))

.PHONY: sabotage
sabotage: env ## break treewarden on purpose and see that the chaos kit notices; MOST=runs for each mutant
	@$(BIN)/treewarden chaos sabotage $(if $(MOST),--most $(MOST))

.PHONY: sabotage-whole
sabotage-whole: env ## the same, with the handlers of more trees and more runs for each mutant
	@$(BIN)/treewarden chaos sabotage --whole --most $(or $(MOST),300)

.PHONY: check
check: env links ## lint, formatting and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright

.PHONY: format
format: env ## format, and mend what the linter can
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

# What a type checker sees as `treewarden`: an editable install is invisible to it.
.PHONY: links
links:
	@mkdir -p build/typing/treewarden
	@for package in $(PACKAGES); do ln -sfn ../../../$$package build/typing/treewarden/$$package; done

.PHONY: lock
lock: ## resolve the dependencies into requirements/ (uses the network); ARGS=--upgrade renews all
	@tools/lock $(ARGS)

.PHONY: clean
clean: ## remove what make built and the caches; .venv and journals stay
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find $(PACKAGES) tests examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
