# The two commands of the README: `make demo` and `make test`. Both do all the set-up themselves.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= out
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo samples test test-slow test-pyannote test-vcon lint bench fuzz docs wheel-test lock clean help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/run.stamp ## install, process one sample call, show its note
	$(BIN)/voice-pipeline process samples/audio/card-dispute.flac --out $(OUT)/demo
	@echo; echo '--- the case note -------------------------------------------------'; echo
	@cat $(OUT)/demo/*/note.md
	@echo; echo "--- the rest is in $(OUT)/demo: transcript, muted audio, redaction log, captions"

samples: $(VENV)/run.stamp ## process every sample call
	$(BIN)/voice-pipeline process samples --out $(OUT)/samples || test $$? -eq 5

test: $(VENV)/dev.stamp ## the default tests: minutes
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

test-slow: $(VENV)/dev.stamp ## the slow tests: killed processes, whole sample set, built wheel
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile

PYANNOTE_VENV ?= $(VENV)-pyannote
test-pyannote: ## the pyannote diarizer against the real library (its own environment: torch, 2 GB)
	test -x $(PYANNOTE_VENV)/bin/python || $(PYTHON) -m venv $(PYANNOTE_VENV)
	$(PYANNOTE_VENV)/bin/pip install -q -e '.[pyannote]' pytest
	$(PYANNOTE_VENV)/bin/python -W ignore -m pytest -rs tests/test_pyannote.py

VCON_VENV ?= $(VENV)-vcon
VCON_PYTHON ?= $(VCON_VENV)/bin/python
PYTHON312 ?= python3.12
test-vcon: $(VENV)/dev.stamp ## vCon files against the public library (its own environment: Python 3.12)
	test -x $(VCON_PYTHON) || $(PYTHON312) -m venv $(VCON_VENV)
	$(VCON_PYTHON) -c 'import vcon' || $(VCON_PYTHON) -m pip install -q 'vcon==0.10.0'
	VCON_PYTHON=$(VCON_PYTHON) $(BIN)/python -m pytest -rs tests/test_vcon_interop.py

lint: $(VENV)/dev.stamp ## style and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp ## every figure that README and docs name
	$(BIN)/python tests/bench/run.py

FUZZ_SECONDS ?= 180
fuzz: $(VENV)/dev.stamp ## fuzz the number scanner, guided by coverage (FUZZ_SECONDS=180)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install -q 'atheris>=3,<4' || { \
	  echo "atheris has no build for $$($(BIN)/python --version): nothing was fuzzed;" \
	       "the properties run with hypothesis in make test"; exit 1; }
	$(BIN)/python tests/pii/fuzz_scanner.py -max_total_time=$(FUZZ_SECONDS)

docs: $(VENV)/dev.stamp ## rebuild the generated tables of docs/
	$(BIN)/python docs/generate.py

lock: $(VENV)/dev.stamp ## resolve the dependencies anew
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header \
	  --no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header \
	  --no-annotate --extra dev pyproject.toml -o requirements-dev.lock -c requirements.lock

clean: ## remove what was built, not what was processed
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "no venv module: installing Debian's python3-venv"; \
	  $$(test $$(id -u) -eq 0 || echo sudo) apt-get install -y python3-venv && \
	  $(PYTHON) -m venv $(VENV); }

$(VENV)/run.stamp: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install -q --require-hashes -r requirements.lock
	$(BIN)/pip install -q --no-deps -e .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install -q --require-hashes -r requirements-dev.lock
	$(BIN)/pip install -q --no-deps -e .
	@touch $@ $(VENV)/run.stamp
