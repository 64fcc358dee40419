# Every target does its own set-up; a fresh machine needs only Python 3.11 and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links

TOOLS := $(VENV)-supply

.PHONY: demo test torture check lint types contracts format lock audit sbom clean benchmarks drawing

demo: $(READY)  ## run a night on generated logs and show every table
	$(BIN)/nightshelf demo

test: $(DEV)  ## run the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

torture: $(DEV)  ## run the long versions of tests: dozens of faults, many parallel processes
	$(BIN)/python -m pytest -m torture -n 2 --dist loadfile

check: lint types contracts test  ## run everything that must pass before a change lands

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEV)
	$(BIN)/mypy

contracts: $(DEV)
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(DEV)  ## pin every dependency again, including transitive ones
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --extra docker --extra kubernetes --constraint requirements.lock --output-file requirements-workers.lock pyproject.toml
	# a local label (+cpu) tells where a wheel came from, not its version
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/' requirements.lock requirements-dev.lock requirements-workers.lock

audit: $(TOOLS)/.ready  ## check every locked package for known vulnerabilities; needs the index's advisories
	$(TOOLS)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement requirements.lock

sbom: $(TOOLS)/.ready  ## list all locked packages, including transitive ones, as CycloneDX
	mkdir -p build
	$(TOOLS)/bin/python -W ignore -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml \
		--mc-type application --spec-version 1.6 --output-reproducible --output-format JSON \
		--output-file build/sbom.cdx.json

benchmarks: $(DEV)
	$(BIN)/python -m benchmarks.topn
	$(BIN)/python -m benchmarks.als
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.metrics

drawing:  ## draw docs/architecture.svg from docs/architecture.dot; needs Graphviz
	dot -Tsvg -Gcomment="sha256 of architecture.dot: $$(sha256sum docs/architecture.dot | cut -c 1-64)" \
		-o docs/architecture.svg docs/architecture.dot

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(DEV): $(READY) requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	touch $@

# a separate environment: the tools must not change the locked packages
$(TOOLS)/.ready: Makefile
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0 pip-audit==2.10.1
	touch $@

clean:
	rm -rf $(VENV) $(TOOLS) build dist demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
