# Every target does its own set-up; a fresh machine needs only make and CPython 3.11 to 3.14.
#   make test                     uses the Python of .venv, or the one chosen below
#   make test PYTHON=python3.12   uses this one, and recreates .venv if another Python made it
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
TOOLS := $(VENV)-supply
INSTALL := -m pip install --quiet --disable-pip-version-check

# Candidates in order of preference: the newest first, but 3.14 last, since no test has run on it
# yet. `python3` counts if it is one of the supported versions.
PYTHONS := python3.13 python3.12 python3.11 python3.14 python3
SUPPORTED := 3.11 3.12 3.13 3.14
TORCH := $(shell sed -n 's/^torch==//p' requirements.lock)

# Prints the Python that creates an environment: PYTHON if given, else the first candidate that
# starts (a file of that name may be a shim that does not) and has venv and ensurepip.
#
# One exception: on Linux without a GPU, a Python for which pip offers a CPU build of torch
# (2.13.0+cpu) goes before one with only the CUDA build, which brings several GB of unused NVIDIA
# libraries. pip is asked, since the answer depends on its configuration (find-links, an extra
# index). If no CPU build is offered, the first candidate is used and two lines say what follows;
# plain pip cannot leave those libraries out.
VERSION := import sys; here = sys.implementation.name; print('%d.%d' % sys.version_info[:2] if here == 'cpython' else here)
define CHOOSE
version() { "$$1" -c "import ensurepip, venv; $(VERSION)" 2>/dev/null; }
supported() { case " $(SUPPORTED) " in *" $$1 "*) return 0;; esac; return 1; }
cpu_build() { "$$1" -m pip index versions torch 2>/dev/null | grep -Fq '$(TORCH)+cpu'; }
refuse() { echo "Nightshelf needs CPython 3.11 to 3.14 with venv and ensurepip (Debian: python3-venv); found $$1." >&2; exit 1; }
if [ -n "$(PYTHON)" ]; then
    found=$$(version "$(PYTHON)") || refuse "that $(PYTHON) does not start or lacks one of these"
    supported "$$found" || refuse "that $(PYTHON) is $$found"
    echo "$(PYTHON)"; exit
fi
first= seen=
for python in $(PYTHONS); do
    command -v $$python >/dev/null || continue
    found=$$(version $$python) || found="unusable"
    seen="$$seen, $$python ($$found)"
    supported "$$found" || continue
    first=$${first:-$$python}
    if [ "$$(uname -s)" != Linux ] || nvidia-smi -L >/dev/null 2>&1 || cpu_build $$python; then
        echo $$python; exit
    fi
done
[ -n "$$first" ] || refuse "$$(echo "$${seen:-, nothing}" | cut -c 3-)"
echo "pip offers no CPU build of torch $(TORCH): it will install the CUDA build, several GB, without a GPU to use it." >&2
echo "To avoid that: PIP_EXTRA_INDEX_URL=<PyTorch's index of CPU builds> make ..." >&2
echo $$first
endef
export CHOOSE

# Identifies a Python: its version and prefix, which an environment made by it shares.
IDENTITY := import sys; print(sys.implementation.name, sys.version, sys.base_prefix)

.PHONY: demo test quick coverage torture check lint types contracts format lock audit sbom clean benchmarks drawing

demo: $(READY)  ## run a night on generated logs and show every table
	$(BIN)/nightshelf demo

# three workers on two cores: many tests wait for another process
test: $(DEV)  ## run the test suite
	$(BIN)/python -m pytest -n 3 --dist loadgroup

quick: $(DEV)  ## run the tests that start no service, night, training or plot
	$(BIN)/python -m pytest --quick -n 2 --dist loadgroup

coverage: $(DEV)  ## run the test suite and print the lines and branches that no test runs
	$(BIN)/python -m pytest -n 3 --dist loadgroup --cov --cov-report=term-missing

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

# One lock for every supported Python and platform, with markers where they differ. Existing pins
# stay while pyproject.toml allows them; to move one, edit or delete its line and run `make lock`.
# The CUDA libraries of torch are left out: a CPU build must not bring them, and a CUDA build names
# those that it needs itself.
CUDA := cuda-bindings cuda-pathfinder cuda-toolkit triton $(addprefix nvidia-, \
	cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 \
	nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" $(addprefix --no-emit-package ,$(CUDA))
LOCKS := requirements.lock requirements-dev.lock requirements-workers.lock

lock: $(DEV)  ## pin every dependency again, including transitive ones
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --extra docker --extra kubernetes --constraint requirements.lock --output-file requirements-workers.lock pyproject.toml
	# a local label (+cpu) tells where a wheel came from, not its version
	sed -i -e 's/^\(torch==[0-9.]*\)+cpu/\1/' -e '/^# The following packages were excluded/,$$d' $(LOCKS)

audit: $(TOOLS)/.ready  ## check every locked package for known vulnerabilities; needs the index's advisories
	$(TOOLS)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement requirements.lock

sbom: $(TOOLS)/.ready  ## list all locked packages, including transitive ones, as CycloneDX
	mkdir -p build
	$(TOOLS)/bin/python -W ignore -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml \
		--mc-type application --spec-version 1.6 --output-reproducible --output-format JSON \
		--output-file build/sbom.cdx.json

benchmarks: $(DEV)
	$(BIN)/python -m benchmarks.topn
	$(BIN)/python -m benchmarks.topn --ties
	$(BIN)/python -m benchmarks.night
	$(BIN)/python -m benchmarks.als
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.metrics

drawing:  ## draw docs/architecture.svg from docs/architecture.dot; needs Graphviz
	dot -Tsvg -Gcomment="sha256 of architecture.dot: $$(sha256sum docs/architecture.dot | cut -c 1-64)" \
		-o docs/architecture.svg docs/architecture.dot

# Checked by every call: the environment is created if there is none, if its Python is gone, or if
# another Python is asked for.
$(VENV)/.python: always
	@set -e; \
	have=$$($(BIN)/python -c '$(IDENTITY)' 2>/dev/null) || have=; \
	if [ -n "$$have" ] && [ -e $@ ] && [ -z "$(PYTHON)" ]; then exit; fi; \
	python=$$(sh -c "$$CHOOSE"); \
	if [ -n "$$have" ] && [ -e $@ ] && [ "$$have" = "$$("$$python" -c '$(IDENTITY)')" ]; then exit; fi; \
	echo "$(VENV) is made with $$python: $$("$$python" --version)"; \
	"$$("$$python" -c 'import os, sys; print(os.path.realpath(sys.executable))')" -m venv --clear $(VENV); \
	touch $@

.PHONY: always
always:

$(READY): $(VENV)/.python requirements.lock pyproject.toml
	$(BIN)/python $(INSTALL) --requirement requirements.lock
	$(BIN)/python $(INSTALL) --no-deps --editable .
	touch $@

$(DEV): $(READY) requirements-dev.lock
	$(BIN)/python $(INSTALL) --requirement requirements-dev.lock
	touch $@

# a separate environment: the tools must not change the locked packages
$(TOOLS)/.ready: Makefile
	python=$$(sh -c "$$CHOOSE") && "$$python" -m venv $(TOOLS)
	$(TOOLS)/bin/python $(INSTALL) cyclonedx-bom==7.5.0 pip-audit==2.10.1
	touch $@

clean:
	rm -rf $(VENV) $(TOOLS) build dist demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
