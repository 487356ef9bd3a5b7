# Virtual environments, made when needed and made anew when pyproject.toml or constraints.txt change: .venv-demo is small
# and has no torch; .venv has all that development needs. A third, .venv-triton, is made by the tests that need it.

PYTHON ?= python3
WORKERS ?= 2
DEMO := .venv-demo/bin
DEV := .venv/bin
DEMO_EXTRAS := cpu,serve
DEV_EXTRAS := cpu,corpus,train,export,experiments,weights,pandas,ray,serve,telemetry,triton,servers,dev
PYTEST := OMP_NUM_THREADS=1 $(DEV)/python -m pytest -n $(WORKERS)
DEMO_BUNDLE := entity_expand/demo/bundle
DEMO_WORK := build/demo

# $(1): the extras, $(2): gigabytes of disk, the wheels that pip unpacks among them.
define environment
	@echo "$@: making a virtual environment with entity-expand[$(1)] and the versions of constraints.txt; this may take minutes ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "$(PYTHON) is missing or older than Python 3.11: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' \
	    || { echo "$(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(@D)
	@df -Pk . | awk 'NR == 2 && $$4 < $(2) * 1000000 { printf "$@: needs about $(2) GB of free disk, there are %.1f; free some, or remove old environments (make clean).\n", $$4 / 1000000; exit 1 }' >&2
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)]'
	@touch $@
endef

.PHONY: help demo test test-shared check demo-train clean

help: ## Say what there is to make.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-20s %s\n", $$1, $$2 }'

demo: .venv-demo/made ## Index a small corpus, expand a set and show it with pictures; no torch, no GPU, no server.
	@$(DEMO)/entity-expand demo

test: .venv/made ## Run all tests but those that need the folder `shared` beside the checkout.
	@echo "Running the tests that need nothing but this checkout; they start a real Elasticsearch from jars and a real"
	@echo "Triton from a wheel, fetched on first use ..."
	@$(PYTEST) -m "not shared"

test-shared: .venv/made ## Run the tests that need the folder `shared` beside the checkout.
	@echo "Running the tests that need the folder $${ENTITY_EXPAND_SHARED:-../shared} ..."
	@$(PYTEST) -m shared

check: .venv/made ## Check format, style, types, import directions, links and README snippets.
	@echo "Checking format, style, types and structure ..."
	@$(DEV)/ruff format --check .
	@$(DEV)/ruff check .
	@$(DEV)/mypy
	@$(PYTEST) tests/structure

demo-train: .venv/made ## Train, export and fit the demo's bundle anew, from nothing but this checkout.
	@echo "Making the demo's corpus, model and bundle in $(DEMO_WORK) ..."
	@rm -rf $(DEMO_WORK)
	@$(DEV)/python -c 'from pathlib import Path; from entity_expand.demo import write_demo_corpus as w; w(Path("$(DEMO_WORK)/corpus"))'
	@OMP_NUM_THREADS=1 $(DEV)/entity-expand train training/configs/demo.toml --corpus $(DEMO_WORK)/corpus --out $(DEMO_WORK)/run
	@OMP_NUM_THREADS=1 $(DEV)/entity-expand export $(DEMO_WORK)/run $(DEMO_BUNDLE) --corpus $(DEMO_WORK)/corpus
	@OMP_NUM_THREADS=1 $(DEV)/entity-expand demo --to $(DEMO_WORK)
	@OMP_NUM_THREADS=1 $(DEV)/entity-expand fit $(DEMO_WORK)/index --truth $(DEMO_WORK)/corpus/gt --bundle $(DEMO_BUNDLE)

clean: ## Remove the virtual environments and all that was built.
	@echo "Removing virtual environments, build folders and caches ..."
	@rm -rf .venv .venv-demo .venv-triton* .demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv-demo/made: pyproject.toml constraints.txt
	$(call environment,$(DEMO_EXTRAS),1)

.venv/made: pyproject.toml constraints.txt
	$(call environment,$(DEV_EXTRAS),11)
