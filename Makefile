# Every target does its own set-up: a fresh machine needs make and a Python of 3.11 to 3.14.
#   make test                     with the Python that is chosen below, or the one that .venv was made with
#   make test PYTHON=python3.12   with this one: .venv is made anew if another Python made it
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
TOOLS := $(VENV)-supply
INSTALL := -m pip install --quiet --disable-pip-version-check

# The Pythons that are looked for, in this order: the newest first, but 3.14 last. Every locked package has a build for
# it (PySpark has a source package for every Python), and more is not known: no test has run on it yet.
# `python3` is taken if it is one of these.
PYTHONS := python3.13 python3.12 python3.11 python3.14 python3
SUPPORTED := 3.11 3.12 3.13 3.14
TORCH := $(shell sed -n 's/^torch==//p' requirements.lock)

# Which Python makes an environment: PYTHON, if it is given; or else the first of PYTHONS that starts (a file of that
# name may be a shim that does not) and can make environments.
#
# With one exception. Where there is no GPU, a Python for which pip knows a CPU build of torch (2.13.0+cpu) goes before
# one for which it only knows the build for CUDA: that one brings several GB of NVIDIA's libraries that nothing would
# use. Which builds there are depends on how pip is configured on this machine (find-links, an index of CPU builds), so
# it is pip that is asked. Only Linux has two builds. If there is no CPU build at all, the first Python is taken and a
# line says what is coming, and how to have it otherwise; plain pip cannot be told to leave those libraries out.
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
echo "pip knows no CPU build of torch $(TORCH): it will install the one for CUDA, of several GB, on a machine without a GPU." >&2
echo "PIP_EXTRA_INDEX_URL=<PyTorch's index of CPU builds> make ... lets it take a CPU build instead." >&2
echo $$first
endef
export CHOOSE

# What tells one Python from another: its version and where it is installed, which an environment made by it has too.
IDENTITY := import sys; print(sys.implementation.name, sys.version, sys.base_prefix)

.PHONY: demo test torture check lint types contracts format lock audit sbom clean benchmarks drawing

demo: $(READY)  ## run a night on generated logs and show every table
	$(BIN)/nightshelf demo

test: $(DEV)  ## run the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

torture: $(DEV)  ## run the long versions of tests: faults by the dozen, many processes at once
	$(BIN)/python -m pytest -m torture -n 2 --dist loadfile

check: lint types contracts test  ## everything that must hold before a change lands

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

# One lock for every supported Python and platform, with markers where they differ. The pins that are in the files stay
# as they are while pyproject.toml allows them; to move one, edit or delete its line and `make lock`.
# The libraries of a CUDA build of torch are left out: they are not the project's choice, a CPU build must not bring
# them, and where pip installs a CUDA build it takes those that the build itself asks for.
CUDA := cuda-bindings cuda-pathfinder cuda-toolkit triton $(addprefix nvidia-, \
	cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 \
	nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" $(addprefix --no-emit-package ,$(CUDA))
LOCKS := requirements.lock requirements-dev.lock requirements-workers.lock

lock: $(DEV)  ## pin every dependency, the transitive ones too
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --extra docker --extra kubernetes --constraint requirements.lock --output-file requirements-workers.lock pyproject.toml
	# a local label (+cpu) says where a wheel came from, not which version it is; what was left out is said above
	sed -i -e 's/^\(torch==[0-9.]*\)+cpu/\1/' -e '/^# The following packages were excluded/,$$d' $(LOCKS)

audit: $(TOOLS)/.ready  ## look every locked package up among known vulnerabilities; needs the index's list of them
	$(TOOLS)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement requirements.lock

sbom: $(TOOLS)/.ready  ## write what is installed, to the last transitive package, as CycloneDX
	mkdir -p build
	$(TOOLS)/bin/python -W ignore -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml \
		--mc-type application --spec-version 1.6 --output-reproducible --output-format JSON \
		--output-file build/sbom.cdx.json

benchmarks: $(DEV)
	$(BIN)/python -m benchmarks.topn
	$(BIN)/python -m benchmarks.als
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.metrics

drawing:  ## draw docs/architecture.svg from its text, docs/architecture.dot; needs Graphviz
	dot -Tsvg -Gcomment="sha256 of architecture.dot: $$(sha256sum docs/architecture.dot | cut -c 1-64)" \
		-o docs/architecture.svg docs/architecture.dot

# `.python` is touched when the environment is made: by the rule that looks at every call whether it must be, which is
# when there is none, when its Python is gone, or when another one was asked for.
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

# of their own environment: what looks at the locked packages must not change them
$(TOOLS)/.ready: Makefile
	python=$$(sh -c "$$CHOOSE") && "$$python" -m venv $(TOOLS)
	$(TOOLS)/bin/python $(INSTALL) cyclonedx-bom==7.5.0 pip-audit==2.10.1
	touch $@

clean:
	rm -rf $(VENV) $(TOOLS) build dist demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
