VENV := .venv
BIN := $(VENV)/bin
SEED ?= 0
RUN ?= runs/demo-$(SEED)

.PHONY: demo test quick lint types docs clean

demo: $(VENV)/installed
	if [ -e $(RUN)/config.json ]; then \
	  $(BIN)/keras-betavae train --resume $(RUN); \
	else \
	  $(BIN)/keras-betavae train --preset sprites_quick --seed $(SEED) --out $(RUN); \
	fi

test: $(VENV)/installed
	$(MAKE) --jobs=2 --output-sync lint types docs
	$(BIN)/pytest -n 2 --dist loadfile

quick: lint types
	$(BIN)/pytest -m "quick and not slow" tests

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

$(VENV)/installed: setup.py
	python3 -m venv $(VENV)
	$(BIN)/pip install -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) docs/_build build *.egg-info
