# The two commands: `make demo` sets everything up and runs the main job; `make test` sets up and passes the tests.
# Each makes .venv itself. Python 3.11-3.13, pip and make are all that is needed beforehand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Bytecode is wanted: without it every process compiles every import anew (seconds a command).
export PYTHONDONTWRITEBYTECODE :=
export DO_NOT_TRACK := 1
SHARED := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: setup demo serve test quick lint docs lock picture clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (a minute or so) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(READY)

# A simulated trust, from its extracts to today's ranked lists.
demo: setup
	$(BIN)/minusnine demo

# The schedules of configs/prefect.yaml on this machine, until Ctrl-C.
serve: setup
	$(BIN)/minusnine serve

# Every test, files shared out over two processes; those that need a browser or the real data skip with a reason where
# there is none.
test: setup
	$(BIN)/python -m pytest $(SHARED)

quick: setup
	$(BIN)/python -m pytest $(SHARED) -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Writes the generated pages; CI fails when they are stale.
docs: setup
	$(BIN)/minusnine docs

# The pictures of a list and of the board in docs/ (needs chromium).
picture: setup
	$(BIN)/python docs/picture.py
	$(BIN)/python docs/board_picture.py

# Re-pins every dependency (needs the package index).
lock: setup
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 --extra dev pyproject.toml -o requirements.lock
	awk '/^uv==/{p=1;print;next} p&&/^    --hash/{print;next} p{exit}' requirements.lock | sed '$$s/ \\$$//' > requirements-uv.lock

clean:
	rm -rf $(VENV) workspace
