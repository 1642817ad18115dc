# The two commands of the README: `make demo` and `make test`. What they need, they install.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
# Without its compiled modules each process spends seconds compiling the libraries again.
export PYTHONDONTWRITEBYTECODE :=

POLICY := .millwright/policy-venv

.PHONY: demo policy test test-unit test-integration test-cluster lint format generate lock setup clean

setup: $(STAMP)

# Exactly what the lock says, by hash. uv when the machine has it, otherwise uv from PyPI.
$(STAMP): requirements.lock pyproject.toml packages/pocket/pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else "Millwright needs Python 3.11 to 3.13; this is %d.%d. Set PYTHON=python3.12, say." % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@UV=$$(command -v uv || echo $(BIN)/uv); \
	$$UV pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock && \
	$$UV pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable packages/pocket --editable .
	@touch $(STAMP)

demo: setup
	@$(BIN)/millwright demo

test: setup
	@$(BIN)/python -m pytest tests/unit tests/integration packages/pocket/tests -n 3 --dist loadfile

test-unit: setup
	@$(BIN)/python -m pytest tests/unit packages/pocket/tests/unit

test-integration: setup
	@$(BIN)/python -m pytest tests/integration packages/pocket/tests/integration

# The operator on a real Kubernetes API. CLUSTER=kind, processes (built with Go, minutes once) or
# context:NAME; the default is what the machine has. Needs Prometheus on the PATH or PROMETHEUS=URL.
test-cluster: setup
	@$(BIN)/python -m pytest tests/cluster $(if $(CLUSTER),--cluster=$(CLUSTER)) \
	  $(if $(PROMETHEUS),--prometheus=$(PROMETHEUS))

# Security checks over what prod (or ENV=staging, ENV=dev) would be made of, in half a minute;
# checkov lives in an environment of its own.
policy: setup $(POLICY)/.synced
	@$(BIN)/python -m policy.check $(or $(ENV),prod) $(POLICY)/bin/checkov

$(POLICY)/.synced: policy/requirements.txt
	@mkdir -p .millwright
	@UV=$$(command -v uv || echo $(BIN)/uv); \
	$$UV venv --quiet --allow-existing --python $(BIN)/python $(POLICY) && \
	$$UV pip install --quiet --python $(POLICY)/bin/python -r policy/requirements.txt
	@touch $@

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: setup
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

# JSON Schemas and the CRD from the contracts, the pipeline as Kubeflow Pipelines takes it, and what
# the local provider knows of pulumi_aws's types.
generate: setup
	@$(BIN)/python -m contracts.schemas manifests/schemas
	@$(BIN)/python -m contracts.custom_resource manifests/operator/crd.yaml
	@$(BIN)/python -m pipelines.training manifests/pipelines/training.yaml
	@$(BIN)/python -m pocket.provider.generate

lock:
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --all-extras --custom-compile-command 'make lock' --no-emit-package millwright-pocket \
	  pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
