# Everything runs in .venv, which is rebuilt when pyproject.toml or the lock change.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
# Kept between processes, whatever the machine says: tests start thousands, and pytest else rewrites each file anew.
export PYTHONDONTWRITEBYTECODE :=
LOCK := constraints.txt $(wildcard locks/*.txt)

# Nothing here talks to anyone.
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help venv lock wheel sbom parts soak-parts demo figure pictures federation test test-slow soak bench bench-accuracy bench-audit bench-outreach check docs format clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

venv: $(STAMP) ## Make .venv with everything, from the lock: hashes checked

$(STAMP): pyproject.toml $(LOCK)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	scripts/install.sh .venv everything --editable
	scripts/names.sh .venv
	touch $@

lock: ## Write the lock anew from pyproject.toml (asks the package index); RENEW="numpy scipy" or RENEW=all for newer versions
	$(BIN)/python -m scripts.lock --renew $(RENEW)

wheel: $(STAMP) ## Build the wheel of the last commit into dist/: the same bytes wherever it is built
	rm -f dist/wardround-*.whl
	scripts/wheel.sh $(BIN)/python dist

sbom: wheel ## Write the bill of materials (CycloneDX) of that wheel and of the lock into dist/
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m scripts.sbom dist/wardround.cdx.json --wheel dist/wardround-*.whl
	cd dist && sha256sum wardround-*.whl wardround.cdx.json > SHA256SUMS

parts: ## Install what some tests need from Debian's packages (asks for root)
	scripts/install-parts.sh

soak-parts: ## Install also what the soak tests boot machines and build containers with (asks for root)
	scripts/install-parts.sh soak

demo: $(STAMP) ## Train one private model across twenty synthetic hospitals, and show what it cost and bought
	$(BIN)/wardround-simulate experiment=demo output_dir=outputs/demo

figure: demo ## Draw the README's picture anew, from the demo's run
	$(BIN)/python -m wardround.simulations.report.figure outputs/demo/summary.json docs/figures/demo.svg

pictures: $(STAMP) parts ## Draw the docs' pictures of both sides' pages anew, in Chromium
	WARDROUND_PICTURES=docs/figures $(BIN)/python -m pytest -q -k pictures tests/client/console tests/client/preferences tests/server/dashboard

federation: $(STAMP) ## Run a server and hospitals as processes over TLS, one of them killed on the way; then in secure sums
	$(BIN)/python -m wardround.simulations.loopback
	$(BIN)/python -m wardround.simulations.loopback --secure --folder outputs/federation-secure

test: $(STAMP) ## Run the default tests, on every core
	OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal -m 'not slow and not soak'

test-slow: $(STAMP) ## Run the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m 'slow and not soak'

soak: $(STAMP) ## Repeat kills and long runs, boot machines, build and attack containers; by hand, after soak-parts
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m soak -o faulthandler_timeout=7200

bench: $(STAMP) ## Measure speed, beside PyTorch, Opacus, Flower and pfl; BENCH="--only a,d --quick" for less
	$(BIN)/python -m wardround.simulations.bench $(BENCH)

bench-accuracy: $(STAMP) ## Measure accuracy at each ε and write docs/lab/results.*; ACCURACY="--data DIR --only noshow,heart --quick"
	$(BIN)/python -m wardround.simulations.methods $(ACCURACY)

bench-audit: $(STAMP) ## Attack the default study's releases at ε = 1, 4 and 8 and write docs/lab/audit.*
	OMP_NUM_THREADS=1 $(BIN)/python -m wardround.simulations.audit

bench-outreach: $(STAMP) ## Count how often the intervals of outreach measure, and of federated uplift, hold the truth
	OMP_NUM_THREADS=1 $(BIN)/python -m wardround.simulations.bench.coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m wardround.simulations.bench.uplift

check: $(STAMP) docs ## Run ruff, mypy (strict) and import-linter, and build the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=.venv/names $(BIN)/lint-imports --no-logo

docs: $(STAMP) ## Build the documentation into site/, its reference from docstrings; a warning is an error
	$(BIN)/sphinx-build -qEW --keep-going -b html docs site

format: $(STAMP) ## Let ruff format, and fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove .venv, caches and build files; keep outputs/
	rm -rf .venv .venv-pfl build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
