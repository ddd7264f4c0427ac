# Every target does its own set-up, once. `make` lists them.
#
# Variables, on the command line: make verilog CONFIG=w4a8_128x128_g128 ARGS="--lanes 4"
#   CONFIG  a configuration: its name or the path of a TOML file; the command's default if empty
#   LIB     a Liberty file, or its name in the data folder: sky130hd, sg13g2, asap7
#   ARGS    more options for the command behind the target
#   SEED    of the tests' random numbers; drawn if empty
#   PYTHON  to make .venv with; if empty, the first that will do of python3, python3.14 ... python3.11
CONFIG =
LIB =
ARGS =
SEED =
PYTHON =

# A clone beside a folder `shared` that holds the project's data reads it there; elsewhere the
# software's own default holds (~/.cache/mixpe).
ifneq ($(wildcard ../shared/models),)
export MIXPE_DATA ?= $(CURDIR)/../shared
endif

# Neither a shell's settings for other Python projects nor this make's own reach the tools, some of
# which run make themselves.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV
unexport MAKEFLAGS MFLAGS CONFIG LIB ARGS SEED PYTHON

BIN := .venv/bin
CONFIG_ARG = $(if $(CONFIG),"$(CONFIG)")
PYTEST = $(if $(SEED),COCOTB_RANDOM_SEED="$(SEED)") $(BIN)/python -m pytest $(if $(SEED),--hypothesis-seed="$(SEED)") \
	--numprocesses=auto --maxprocesses=16 --dist=load --maxschedchunk=1

.DEFAULT_GOAL := help
.PHONY: help verilog quick test nightly synth ppa demo matmul llm bench lint format setup lock clean distclean \
	venv simulators meters linter

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

verilog: venv ## write the Verilog of CONFIG to build/<name>/
	@$(BIN)/mixpe verilog $(CONFIG_ARG) $(ARGS)

quick: simulators ## run the essentials of the tests, for whoever edits: a minute and a half
	@$(PYTEST) -m quick $(ARGS)

test: simulators ## run the tests; SEED=<number> repeats a run
	@$(PYTEST) $(ARGS)

nightly: simulators ## run the tests, the long ones too, and lint large arrays whole
	@$(PYTEST) -m "nightly or not nightly" --hypothesis-profile=nightly $(ARGS)
	@$(BIN)/python -m verif.lint.verilog --whole

synth: venv ## synthesize CONFIG: gate counts, or with LIB areas
	@$(BIN)/mixpe synth $(CONFIG_ARG) $(if $(LIB),--lib "$(LIB)") $(ARGS)

ppa: meters ## area, delay and energy of all designs; ARGS=--quick: the main ones
	@$(BIN)/mixpe ppa $(if $(LIB),--lib "$(LIB)") $(ARGS)

demo: simulators ## run layers of a language model through the Verilog
	@$(BIN)/mixpe demo $(ARGS)

matmul: simulators ## multiply on a simulated core, CONFIG: cycles, counters, roofline
	@$(BIN)/mixpe matmul $(CONFIG_ARG) $(ARGS)

llm: simulators ## generate text with a language model on a simulated core
	@$(BIN)/mixpe llm $(ARGS)

bench: simulators ## time the golden model, and the fast simulation against cocotb
	@$(BIN)/mixpe bench $(ARGS)

lint: linter ## check style, types and imports, and the Verilog with Verilator
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright --pythonpath $(BIN)/python
	@PYTHONPATH=.venv/typing $(BIN)/lint-imports --no-logo
	@$(BIN)/python -m verif.lint.verilog

format: venv ## bring the Python into the project's style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

setup: simulators ## set up and do nothing else

lock: ## pin the newest dependencies in requirements.txt; needs uv
	uv pip compile --quiet --universal --upgrade --python-version 3.11 --fork-strategy fewest \
		--extra dev --no-annotate --custom-compile-command "make lock" \
		--output-file requirements.txt pyproject.toml

clean: ## remove what was built
	rm -rf build *.egg-info .pytest_cache .ruff_cache
	find . -name .venv -prune -o -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf .venv

venv:
	@setup/venv.sh $(PYTHON)

# After `venv`, which may install packages too.
simulators: venv
	@setup/tools.sh test

meters: venv
	@setup/tools.sh ppa

linter: venv
	@setup/tools.sh lint
