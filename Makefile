# The two commands a fresh machine needs: `make study` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install study test lint bench soak clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev]'
	touch $@

# The main job on the default data: search, confirmation, report. Pass flags with ARGS='--trials 100'.
study: install
	$(BIN)/python -m study.run --space acckd_full $(ARGS)

# Slow tests start studies, which wait for each other's processes: three files at a time, in the order of
# tests/conftest.py. xdist's own order goes by the number of tests in a file, which says nothing of its minutes.
test: install
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal
	$(BIN)/python -m pytest -m slow --numprocesses 3 --dist loadfile --no-loadscope-reorder

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vulture

bench: install
	$(BIN)/python -m benchmarks.run $(if $(QUICK),--quick)

# Kills and signals of every kind for well over an hour, then a thousand random sequences; results go to benchmarks/results.
soak: install
	$(BIN)/python -m benchmarks.soak $(ARGS)
	CCKD_SEQUENCES=1000 CCKD_CACHE_KILLS=10 $(BIN)/python -m pytest -m slow -o faulthandler_timeout=7200 tests/faults/test_sequences.py tests/whole/test_whole_cache.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
