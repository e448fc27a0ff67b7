# make run · make test · make check · make sample: see README.md
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
DATA ?=
PORT ?=
ENVIRONMENT := $(if $(DATA),STENOGRAM_HOME="$(abspath $(DATA))") $(if $(PORT),PORT=$(PORT))

.PHONY: run test check sample demo-batch key worker install install-dev system clean

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
	$(PY) -m pytest

check: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

install: $(VENV)/installed
install-dev: $(VENV)/installed-dev

$(VENV)/installed: requirements.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing (a minute or two the first time)…"
	@$(PY) -m pip install -qq --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed tools/requirements-dev.txt
	@$(PY) -m pip install -qq --disable-pip-version-check -r tools/requirements-dev.txt
	@touch $@

system: # the browser of the browser tests; only where we may install it
	@command -v chromium >/dev/null || sh tools/system-packages.sh
