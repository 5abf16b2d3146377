# Two commands: `make run` (the chat) and `make test` (everything that CI runs). Both install the built wheel in .venv.
PYTHON ?= python3
VENV := .venv
# Only what Snowmelt needs of llama.cpp. GGML_NATIVE=OFF: built for AVX2, since the code that -march=native selects on
# processors with AMX crashed in llama_decode here, and pip keeps this wheel for other machines.
export CMAKE_ARGS := -DGGML_NATIVE=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_COMMON=OFF -DMTMD_BUILD=OFF -DLLAVA_BUILD=OFF
SOURCES := pyproject.toml $(shell find agent prompts retrieval evals -name '*.py' -o -name '*.md' -o -name '*.jsonl')

.PHONY: run test check clean
run: $(VENV)/local
	@test -f .snowmelt/films/current || $(VENV)/bin/snowmelt index retrieval/demo/films.jsonl --out .snowmelt/films
	@$(VENV)/bin/snowmelt chat .snowmelt/films

test: $(VENV)/test
	$(VENV)/bin/python -m pytest

check: $(VENV)/test
	$(VENV)/bin/ruff check agent prompts retrieval tests

$(VENV)/bin/python:
	@command -v c++ >/dev/null || { echo "snowmelt: a C/C++ compiler is missing; install one (Debian: apt install build-essential)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/local: $(VENV)/bin/python $(SOURCES)
	@test -d $(VENV)/lib/python3*/site-packages/llama_cpp || echo "Installing. llama.cpp is compiled once: about 6 minutes on two cores."
	$(VENV)/bin/pip install -q '.[local]'
	$(VENV)/bin/pip install -q --no-deps --force-reinstall .
	@touch $@

$(VENV)/test: $(VENV)/local
	$(VENV)/bin/pip install -q '.[local,eval,dev]'
	@touch $@

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
