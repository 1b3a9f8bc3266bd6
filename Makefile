# `make help` lists what there is. Everything is installed into this folder: .venv, and .uv where the machine has no uv.
PYTHON ?= python3
UV ?= $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOG ?=
DEMO := demo
STATIC := src/nself/web/static
WORKERS ?= auto
# The long tests wait for processes more than they compute.
LONG_WORKERS ?= 4
GUIDE ?= ../shared/guide/run_guide.py
# The oldest release of Stripe's SDK that is supported; the newest is in requirements.lock.
OLDEST_SDK := 15.2.1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-long test-sdk stripe-live soak check static lint types contracts migrations docs docs-check audit guide drills bench assets client lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install everything into .venv; leaves .venv/bin/nself

$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(UV) >/dev/null 2>&1 || { $(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==0.13.*"; } || \
	  { echo "uv could not be installed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --compile-bytecode --editable .
	@$(BIN)/python -m compileall -q src
	@touch $(INSTALLED)

demo: install ## Run the main job against the sandbox; LOG=FILE takes a web server's access log
	@mkdir -p $(DEMO)
	@$(BIN)/nself --project $(DEMO) billing sandbox demo $(if $(LOG),--log $(abspath $(LOG)))

test: install ## Run the test suite (real PostgreSQL, real processes), in parallel
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not long" -q

test-long: install ## Run the tests that need longer: PART=2/4 the second of four parts
	@$(BIN)/python -m pytest -n $(LONG_WORKERS) --dist loadgroup -m long -q $(if $(PART),--part $(PART))

test-sdk: install build/stripe-$(OLDEST_SDK)/.installed ## Run the contract tests with the oldest supported release of Stripe's SDK
	@PYTHONPATH=build/stripe-$(OLDEST_SDK) $(BIN)/python -c 'import stripe; assert stripe.VERSION == "$(OLDEST_SDK)", stripe.VERSION'
	@PYTHONPATH=build/stripe-$(OLDEST_SDK) $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -q tests/contract tests/gateway --ignore tests/contract/test_target.py -m "not long"

build/stripe-$(OLDEST_SDK)/.installed:
	@$(UV) pip install --quiet --python $(BIN)/python --target $(@D) --no-deps stripe==$(OLDEST_SDK)
	@touch $@

stripe-live: install ## Run the contract tests against Stripe's test mode; the key is in STRIPE_LIVE_TEST_KEY
	@$(BIN)/python -m pytest --stripe-live -v tests/contract --ignore tests/contract/test_target.py

check: static test ## Everything that CI asks for, but test-long

static: lint types contracts migrations docs-check audit ## All checks that start no service

lint: install ## Format and lint
	@$(BIN)/ruff format --check --quiet src tests bench
	@$(BIN)/ruff check --quiet src tests bench

types: install ## Strict types
	@$(BIN)/basedpyright --level error src

contracts: install ## Import contracts
	@$(BIN)/lint-imports --no-cache >.lint-imports.log || { cat .lint-imports.log; exit 1; }; rm -f .lint-imports.log

migrations: install ## Lint the migrations
	@$(BIN)/squawk --config .squawk.toml src/nself/db/migrations/*.sql

docs: install ## Generate docs/reference
	@$(BIN)/python -m nself.reference docs/reference

docs-check: install ## Fail where docs/reference is stale
	@$(BIN)/python -m nself.reference --check docs/reference

audit: install ## Look for secrets in the repository and for dependencies that do not fit or are not pinned; needs no network
	@.ci/scan-secrets $(BIN)/python
	@$(UV) pip check --quiet --python $(BIN)/python
	@$(BIN)/python -m pytest -q -n 0 tests/architecture/test_audit.py

guide: install ## Run the troubleshooting guide's command lines against a sandbox
	@if ! test -x $(GUIDE); then echo "make guide: skipped, $(GUIDE) is not here"; exit 0; fi; \
	mkdir -p build/guide; failed=0; \
	PATH="$(abspath $(BIN)):$$PATH" $(GUIDE) --quiet --cwd build/guide --nself $(abspath $(BIN))/nself || failed=$$?; \
	$(BIN)/nself --project build/guide stop >/dev/null || true; exit $$failed

drills: install ## Rehearse root causes at a sandbox of their own: PART=3/12 the third of twelve parts, PAIRS=200 SEED=1 two at once
	@mkdir -p build/drills && $(BIN)/python .ci/free-ports BILLING_PORT STRIPE_MOCK_PORT >build/drills/.env
	@trap '$(BIN)/nself --project build/drills stop >/dev/null' EXIT; \
	  $(BIN)/nself --project build/drills billing sandbox reset --fixtures guide --yes >/dev/null && \
	  $(BIN)/nself --project build/drills billing drill run --yes --all $(if $(PART),--part $(PART)) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(SEED),--seed $(SEED))

bench: install ## Run the benchmarks; each prints ratios to a limit or a peer of the same run
	@for one in bench/bench_*.py; do $(BIN)/python $$one || exit 1; done

soak: install ## Let days pass in minutes, a fault in each (MINUTES=30), and count in the end
	@$(BIN)/python bench/soak.py --minutes $(or $(MINUTES),30)

assets: ## Copy what the dashboard ships of others out of npm's packages (assets/package-lock.json)
	@cd assets && npm ci --silent --no-audit --no-fund --ignore-scripts
	@cd assets/node_modules && cp htmx.org/dist/htmx.min.js $(abspath $(STATIC))/htmx.js && \
	  cp uplot/dist/uPlot.iife.min.js $(abspath $(STATIC))/uplot.js && cp uplot/dist/uPlot.min.css $(abspath $(STATIC))/uplot.css
	@cd $(STATIC) && sha256sum htmx.js uplot.css uplot.js >$(abspath assets)/sha256sums

client: install docs ## Generate the types of the TypeScript client (clients/typescript)
	@cd clients/typescript && npm ci --silent --no-audit --no-fund --ignore-scripts && npm run --silent generate

lock: ## Write requirements.lock anew from pyproject.toml
	@$(UV) lock --quiet && $(UV) export --quiet --all-groups --all-extras --no-emit-project --no-header --no-annotate --format requirements-txt -o requirements.lock; rm -f uv.lock

clean: ## Stop the demonstration and remove all that was made here
	@test ! -x $(BIN)/nself || test ! -f $(DEMO)/.env || $(BIN)/nself --project $(DEMO) stop
	@test ! -L $(DEMO)/.nself/postgres || rm -rf "$$(readlink -f $(DEMO)/.nself/postgres)"
	@rm -rf $(DEMO) build .venv .uv .pytest_cache .ruff_cache .hypothesis
