# Needs Python 3.11 or newer and make. Everything is installed into .venv from the hashed lock files; package caches
# (pip's and uv's own) are the only things outside the checkout.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
DEMO ?= examples/hsk-words.yaml
TEST_PROCESSES ?= 2
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && exit; done)

export KUBEVOICE_HOME ?= $(CURDIR)/.kubevoice
export KUBEVOICE_CACHE ?= $(KUBEVOICE_HOME)/cache
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Containers of Python often set it. Then each process that imports PyTorch compiles a thousand modules: 4 s of CPU.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(VENV)/.installed ## fine-tune the example voice, serve it on this machine and speak
	$(BIN)/kubevoice up -f $(DEMO)
	@echo "Here that is: make down"

.PHONY: down
down: ## stop what `make demo` started
	@if [ -x $(BIN)/kubevoice ]; then $(BIN)/kubevoice down; else echo "nothing is installed, so nothing runs"; fi

.PHONY: test
test: lint ## lint, then every test that needs no cluster
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadgroup --no-loadscope-reorder

.PHONY: test-cluster
test-cluster: $(VENV)/.installed ## the tests on a real Kubernetes, which runs on this machine (as root, with Go)
	$(BIN)/python -m pytest tests/cluster --numprocesses 2 --dist loadgroup --no-loadscope-reorder -v

.PHONY: cluster
cluster: $(VENV)/.installed ## keep that Kubernetes up until Ctrl-C
	@$(BIN)/python tests/cluster/up.py

.PHONY: parity
parity: $(VENV)/.installed ## compare the networks with the reference's answers in ../shared/parity, or in PARITY=DIR
	@PARITY="$(PARITY)" $(BIN)/python tests/parity/run.py

.PHONY: lint
lint: $(VENV)/.installed ## ruff, mypy and import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy core training serving operator cli scripts images tests/cluster/testcluster
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.installed ## rewrite the code as ruff likes it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: docs
docs: $(VENV)/.installed ## make the site of docs/ in site/, and fail on a link that leads nowhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: audit
audit: $(VENV)/.installed ## look up known vulnerabilities of every locked package (asks a service on the Internet)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/dev.lock

# One lock file a use: everything (dev) and what each container needs. dev.lock constrains the others, so that a
# package has one version everywhere. `make lock UPGRADE=--upgrade` takes newer versions.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links
CONSTRAINED = $(COMPILE) --constraints requirements/dev.lock

.PHONY: lock
lock: $(VENV)/.uv ## bring requirements/*.lock in step with pyproject.toml
	$(COMPILE) pyproject.toml --all-extras $(UPGRADE) --output-file requirements/dev.lock
	$(CONSTRAINED) --group pyproject.toml:operator-image --output-file requirements/operator.lock
	$(CONSTRAINED) pyproject.toml --extra serving --extra tracing --output-file requirements/serving.lock
	$(CONSTRAINED) pyproject.toml --extra training --extra evaluation --output-file requirements/training.lock
	$(CONSTRAINED) --group pyproject.toml:build --no-annotate --output-file requirements/build.lock

.PHONY: images
images: ## build the containers' images with buildah: BASE_IMAGE, REGISTRY and TAG may be named
	@BASE_IMAGE="$(BASE_IMAGE)" REGISTRY="$(REGISTRY)" TAG="$(TAG)" SOURCE="$(SOURCE)" images/build

.PHONY: clean
clean: down ## stop the demo, delete the environment, its artifacts and tool caches
	rm -rf $(VENV) site dist .kubevoice .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find core training serving operator cli tests scripts -name __pycache__ -prune -exec rm -rf {} +

# Stamps: each is written last, so an interrupted step is done again and a finished one costs nothing.
$(VENV)/.uv: requirements/build.lock
	@[ -n "$(PYTHON)" ] || { echo "KubeVoice needs Python 3.11 or newer: install it, or run make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot create environments: install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/build.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.uv requirements/dev.lock pyproject.toml
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements/dev.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
