# Needs: Python 3.11 or newer, make, a C compiler. `make` or `make help` lists what there is.
SHELL = /bin/sh
.DEFAULT_GOAL = help

PYTHON ?= python3
PORT ?= 8080
NODE ?= auto
BIN = .venv/bin
VENV = .venv/.complete
export PYTHON

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1#\2/p' Makefile | awk -F'#' '{ printf "%-14s %s\n", $$1, $$2 }'

# Made anew when what it is made from changes, and when this checkout has moved: its paths are absolute.
ifneq ($(shell cat $(VENV) 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)
endif
$(VENV): requirements/dev.txt pyproject.toml hack/make_venv.sh
	@hack/make_venv.sh

.PHONY: venv
venv: $(VENV) ## the Python environment in .venv, which every other target makes when it needs it

# Nothing but one plain command: make then starts it without a shell, and passes it the signals that end a run.
.PHONY: run
run: $(VENV) ## a Kubernetes on this machine, operator, API and samples; PORT=8080, NODE=auto|real|simulated
	@$(BIN)/python -m hack.local run --port $(PORT) --node $(NODE)

.PHONY: demo
demo: $(VENV) ## the story from start to stop, on a cluster of its own; fails when a step does
	@$(BIN)/python -m hack.local demo --node $(NODE)

CHECKS = check-format check-lint check-types check-layers check-generated check-unit

.PHONY: check $(CHECKS)
check: $(VENV) ## format, lint, types, layers, generated files, unit tests with their coverage
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going $(CHECKS)
check-types: $(VENV)
	$(BIN)/mypy
	$(BIN)/mypy helm/diem-operator/files/story.py
check-unit: $(VENV)
	$(BIN)/pytest tests/unit --quiet --cov --cov-report=
	$(BIN)/coverage report --include='*/planning/*,*/access/*' --skip-covered --fail-under=100
check-format: $(VENV)
	$(BIN)/ruff format --check .
check-lint: $(VENV)
	$(BIN)/ruff check .
check-layers: $(VENV)
	$(BIN)/lint-imports
check-generated: $(VENV)
	$(BIN)/python -m hack.generate_crds --check
	$(BIN)/python -m hack.generate_manifests --check

# The second half runs even when the first found something: one run tells everything.
.PHONY: test
test: $(VENV) ## check, then every other test, on real and simulated clusters; lists what this machine cannot run
	@failed=; \
	$(MAKE) --no-print-directory check || failed="make check"; \
	$(BIN)/pytest tests --ignore=tests/unit || failed="$$failed$${failed:+ and }the tests on clusters"; \
	test -z "$$failed" || { echo "Failed: $$failed" >&2; exit 1; }

.PHONY: e2e
e2e: $(VENV) ## only the tests on real nodes: the image, the chart's whole life with both versions of Helm, make run, the clients
	$(BIN)/pytest tests/e2e

# LONG=1 plays every story under every fault; CASE=TEXT only the cases with this in their names, as failures print them.
.PHONY: reliability
reliability: $(VENV) ## faults on a real API server, the histories of the simulation; LONG=1 for hours of them, CASE=… for one
	$(if $(LONG),DIEM_RELIABILITY=long) $(if $(CASE),DIEM_RELIABILITY_CASE='$(CASE)') $(BIN)/pytest tests/reliability -rfE $(if $(CASE),-m matrix,tests/simulation)

# Timings are printed, never asserted. Nothing else should run on the machine.
.PHONY: bench bench-quick bench-peers
bench: $(VENV) ## how fast and light it is, beside baselines of the same run; docs/performance.md explains the figures
	$(BIN)/python -m tests.bench
bench-quick: $(VENV) ## less of the same, under 3 minutes
	$(BIN)/python -m tests.bench --quick
bench-peers: $(VENV) ## starts beside those of Argo Workflows and of Kubernetes' Job controller, on the same control plane
	$(BIN)/python -m tests.bench.peers

.PHONY: image
image: $(VENV) ## the container image as an archive in .local, built from the Containerfile without an engine or a registry
	@mkdir -p .local
	$(BIN)/python -m hack.image build --output .local/image.tar

.PHONY: generate
generate: $(VENV) ## write crds/ from hack/crd_sources, and from crds/ and the chart what is derived from them
	$(BIN)/python -m hack.generate_crds
	$(BIN)/python -m hack.generate_manifests

COMPILE = $(BIN)/python -m uv pip compile --quiet --universal --no-strip-extras --generate-hashes --python-version 3.11 --no-header

.PHONY: lock
lock: $(VENV) ## write requirements/ from pyproject.toml
	$(BIN)/python -m pip --quiet install 'uv>=0.9,<1'
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra dev -c requirements/runtime.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --override requirements/image.overrides -c requirements/runtime.txt -o requirements/image.txt
	$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) requirements/audit.in -c requirements/dev.txt -o requirements/audit.txt

# What examines has an environment of its own. `make` itself always ends with 2; the command tells 1 (something was found)
# from 2 (not everything could be examined).
AUDIT = .local/audit/.complete
$(AUDIT): requirements/audit.txt $(VENV)
	@rm -rf .local/audit
	@$(BIN)/python -m venv .local/audit
	@.local/audit/bin/pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements/audit.txt
	@touch $@

.PHONY: audit
audit: $(AUDIT) ## whether the locked packages are pinned, still offered, and free of known vulnerabilities; needs the index
	@$(BIN)/python -m hack.audit

.PHONY: clean
clean: ## remove what these targets have made in the checkout; built programs stay in ~/.cache/diem
	rm -rf .venv .local .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
