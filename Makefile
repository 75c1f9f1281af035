VENV := .venv
BIN := $(VENV)/bin
SEED ?= 0
RUN ?= runs/demo-$(SEED)

.PHONY: demo test quick lint types docs tests clean

demo: $(VENV)/installed
	if [ -e $(RUN)/config.json ]; then \
	  $(BIN)/keras-betavae train --resume $(RUN); \
	else \
	  $(BIN)/keras-betavae train --preset sprites_quick --seed $(SEED) --out $(RUN); \
	fi

test: $(VENV)/installed
	$(MAKE) --jobs=2 lint types docs tests

quick: lint types
	$(BIN)/pytest -m "quick and not slow" tests

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

tests: $(VENV)/installed
	$(BIN)/pytest -n 2 --dist loadfile

$(VENV)/installed: setup.py
	python3 -m venv $(VENV)
	$(BIN)/pip install -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) docs/_build build *.egg-info
