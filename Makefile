# The two commands of the README: `make demo` and `make test`. What they need, they install.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
# Without its compiled modules each process spends seconds compiling the libraries again.
export PYTHONDONTWRITEBYTECODE :=

POLICY := .millwright/policy-venv
# What is not product but read as closely: helpers of the tests, benchmarks, policy, models. The calls
# of other people's clients run in environments of their own, with libraries that are not here.
HELPERS = benchmarks policy $(shell find tests packages/pocket/tests models datasets -name '*.py' \
  ! -name 'test_*' ! -path 'tests/clients/calls/*')

.DEFAULT_GOAL := help
.PHONY: help demo policy test test-long test-unit test-integration test-cluster test-images test-clients lint format generate lock setup clean

help: ## Show what can be made.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv from the lock, by hash.

# Exactly what the lock says, by hash. uv when the machine has it, otherwise uv from PyPI, by the
# pip that comes with PYTHON: installing a pip first takes longer than all that it is needed for.
$(STAMP): requirements.lock pyproject.toml packages/pocket/pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else "Millwright needs Python 3.11 to 3.13; this is %d.%d. Set PYTHON=python3.12, say." % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@command -v uv >/dev/null || test -x $(BIN)/uv || \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check uv 2>/dev/null || \
	  { $(BIN)/python -m ensurepip >/dev/null && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }
	@UV=$$(command -v uv || echo $(BIN)/uv); \
	$$UV pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock && \
	$$UV pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable packages/pocket --editable .
	@touch $(STAMP)

demo: setup ## Everything on real data, with a report at the end.
	@$(BIN)/millwright demo

# Long files first, so that none is left over at the end for one worker; what measures time comes
# after them, beside the unit tests. Three workers, because those with processes wait for them.
test: setup ## Unit and integration tests.
	@$(BIN)/python -m pytest packages/pocket/tests/integration tests/integration \
	  tests/unit packages/pocket/tests/unit -m "not long" -n 3 --dist loadfile --no-loadscope-reorder

# What is marked long: chaos, kills at many places, trainings in a row. Two workers, because most of
# them measure what requests see beside them.
test-long: setup ## The tests that take long: chaos, kills at every point, whole trainings.
	@$(BIN)/python -m pytest tests packages/pocket/tests --ignore=tests/cluster --ignore=tests/images \
	  --ignore=tests/clients -m long -n 2 --dist loadfile

test-unit: setup ## The tests without processes, in seconds.
	@$(BIN)/python -m pytest tests/unit packages/pocket/tests/unit

test-integration: setup ## The laptop for real: AWS server, Redis, Envoy, model servers.
	@$(BIN)/python -m pytest tests/integration packages/pocket/tests/integration

# The operator on a real Kubernetes API. CLUSTER=kind, processes (built with Go, minutes once) or
# context:NAME; the default is what the machine has. Needs Prometheus on the PATH or PROMETHEUS=URL.
test-cluster: setup ## The operator on a real Kubernetes API (CLUSTER=kind|processes|context:NAME).
	@$(BIN)/python -m pytest tests/cluster $(if $(CLUSTER),--cluster=$(CLUSTER)) \
	  $(if $(PROMETHEUS),--prometheus=$(PROMETHEUS))

# The images, really built and started: minutes. Needs docker, podman or buildah; without BASE=IMAGE
# mmdebstrap, and docker-registry for the pushes. What is missing is named.
test-images: setup ## The images, built and started (TOOL=docker|podman|buildah, BASE=IMAGE).
	@$(BIN)/python -m pytest tests/images --durations=10 $(if $(TOOL),--images-tool=$(TOOL)) \
	  $(if $(BASE),--images-base=$(BASE))

# Each client in an environment of its own, made from PyPI at the first run (.millwright/clients).
test-clients: setup ## Other people's clients by their defaults: Triton, KServe, MLServer, Seldon.
	@$(BIN)/python -m pytest tests/clients --durations=5

# Security checks over what prod (or ENV=staging, ENV=dev) would be made of, in half a minute;
# checkov lives in an environment of its own.
policy: setup $(POLICY)/.synced ## Checkov over the plan of prod (or ENV=NAME).
	@$(BIN)/python -m policy.check $(or $(ENV),prod) $(POLICY)/bin/checkov

$(POLICY)/.synced: policy/requirements.txt
	@mkdir -p .millwright
	@UV=$$(command -v uv || echo $(BIN)/uv); \
	$$UV venv --quiet --allow-existing --python $(BIN)/python $(POLICY) && \
	$$UV pip install --quiet --python $(POLICY)/bin/python -r policy/requirements.txt
	@touch $@

lint: setup ## Style, types and layers.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache > .import-linter.log || \
	  { cat .import-linter.log; exit 1; }
	@$(BIN)/mypy && $(BIN)/mypy $(HELPERS)

format: setup ## Mend what ruff can mend.
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

# JSON Schemas and the CRD from the contracts, the pipeline as Kubeflow Pipelines takes it, the
# packages of each image, and what the local provider knows of pulumi_aws's types.
generate: setup ## Renew schemas, CRD, pipeline, images' lists and the provider's table.
	@$(BIN)/python -m contracts.schemas manifests/schemas
	@$(BIN)/python -m contracts.environment.settings docs/environments.md
	@$(BIN)/python -m contracts.custom_resource manifests/operator/crd.yaml
	@$(BIN)/python -m pipelines.wiring manifests/pipelines/training.yaml
	@$(BIN)/python -m images.lists
	@$(BIN)/python -m pocket.provider.generate

lock: ## Resolve requirements.lock anew.
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --all-extras --custom-compile-command 'make lock' --no-emit-package pocket-cloud \
	  pyproject.toml -o requirements.lock

clean: ## Remove .venv and the caches.
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
