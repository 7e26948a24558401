PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all test-qlora test-ray test-trl test-deepspeed test-inspect test-trackers test-wheel test-extras docs check bench setup clean

demo: .venv/ready ## set up, unlearn with three methods, end with a report
	$(BIN)/forget demo

test: .venv/ready ## the default tests, by two workers of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-all: .venv/ready ## with the long ones
	$(BIN)/python -m pytest -m ""

test-qlora: .venv/ready ## what needs bitsandbytes, which it installs
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[qlora]"
	$(BIN)/python -m pytest tests/models/test_qlora.py tests/pipeline/run/test_qlora_run.py

test-ray: .venv/ready ## what needs Ray, which it installs; starts clusters of two workers on this machine
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[ray]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "" tests/pipeline/sweep/engines/test_ray_cluster.py

test-trl: .venv/ready ## what needs TRL, which it installs
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[trl]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/training/test_in_trainer.py

test-deepspeed: .venv/ready ## what needs DeepSpeed, which it installs; two processes of a CPU; compiles with g++
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[deepspeed]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/examples/test_deepspeed.py

test-inspect: .venv/ready .venv-inspect/ready ## whether inspect-ai reads what is written for it, from an environment of its own
	INSPECT_PYTHON=$(CURDIR)/.venv-inspect/bin/python $(BIN)/python -m pytest tests/imports/test_export_inspect.py

.venv-inspect/ready: Makefile
	$(PYTHON) -m venv .venv-inspect
	.venv-inspect/bin/pip install --quiet --disable-pip-version-check inspect-ai==0.3.285 pandas==3.1.1 pyarrow==26.0.1
	touch $@

test-trackers: .venv/ready ## what needs TensorBoard, Weights & Biases and trackio, which it installs; nothing leaves the machine
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[trackers]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/pipeline/run/test_tracking.py

test-wheel: ## sdist and wheel, the wheel alone in an empty environment outside the clone, the demo there
	PYTHON=$(PYTHON) .ci/wheel

docs: .venv/ready ## the documentation site, in site/; a broken link or reference fails
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test-extras: .venv/ready ## whether all extras can be installed together; downloads much and installs nothing
	$(BIN)/pip install --disable-pip-version-check --quiet --dry-run -c constraints.txt ".[qlora,embed,ray,trl,deepspeed,trackers,documents,dev]"

check: .venv/ready ## lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_rooms.py

bench: .venv/ready ## speed and memory beside a plain implementation
	$(BIN)/python -m bench

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv .venv-inspect build dist runs
