# Two commands: `make run` (the chat) and `make test` (everything that CI runs). Both use the built wheel, in .venv.
PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
VENV := .venv
# Only what Snowmelt needs of llama.cpp: 9.3 CPU-minutes instead of 11.6. GGML_NATIVE=OFF: built for AVX2, since the code
# that -march=native selects on processors with AMX crashed in llama_decode, and pip keeps this wheel for other machines.
export CMAKE_ARGS := -DGGML_NATIVE=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_COMMON=OFF -DMTMD_BUILD=OFF -DLLAVA_BUILD=OFF
SOURCES := pyproject.toml README.md LICENSE $(shell find agent prompts retrieval evals -type f -not -name '*.pyc')
CODE := agent prompts retrieval evals tests benchmarks examples

.PHONY: run test check clean
run: $(VENV)/local
	@$(VENV)/bin/snowmelt chat

test: $(VENV)/test
	$(VENV)/bin/python -m pytest

check: $(VENV)/test
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	mkdir -p build/typed && ln -sfn ../.. build/typed/snowmelt
	$(VENV)/bin/pyright

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "snowmelt: $(PYTHON) is missing; install Python 3.11, or say make PYTHON=/path/to/python"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "snowmelt: $(PYTHON) is too old; Python 3.11 is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	@command -v cc >/dev/null && command -v c++ >/dev/null || { echo "snowmelt: a C/C++ compiler is missing; install one (Debian, Ubuntu: apt install build-essential; macOS: xcode-select --install)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# What is needed of other people's packages changes with pyproject.toml alone; Snowmelt itself is installed again, without
# asking for them, whenever a file of it changes.
$(VENV)/packages: pyproject.toml | $(VENV)/bin/python
	@test -d $(VENV)/lib/python3*/site-packages/llama_cpp || echo "Installing. llama.cpp is compiled once, silently: about 6 minutes on two cores."
	$(VENV)/bin/pip install -q '.[local]'
	@touch $@

$(VENV)/local: $(VENV)/packages $(SOURCES)
	rm -rf build  # what setuptools left there of files that are gone would be packed again
	$(VENV)/bin/pip install -q --no-deps --force-reinstall .
	@touch $@

$(VENV)/test-packages: pyproject.toml | $(VENV)/packages
	$(VENV)/bin/pip install -q '.[dev]'
	@touch $@

$(VENV)/test: $(VENV)/test-packages $(VENV)/local
	@touch $@

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
