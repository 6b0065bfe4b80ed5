# Everything that one does with this project. `make run` needs Python 3.11 or newer, and nothing else.

PYTHONS := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"
TEMPLATES := $(shell find templates calls -name '*.html' 2>/dev/null)

# Portals and tests start many processes: each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test lint format bench collection fuzz soak lock clean

run: .venv/runtime.txt  ## Start the portal
	@exec $(BIN)/python manage.py run

test: .venv/dev.txt  ## Run all tests (ARGS="-k name" for some)
	@OBD_CHROMIUM="$$(.ci/chromium)" && export OBD_CHROMIUM && exec $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/dev.txt  ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy .
	$(if $(TEMPLATES),$(BIN)/djade --check --target-version 5.2 $(TEMPLATES))
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

format: .venv/dev.txt  ## Put Python and templates into the project's style
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	$(if $(TEMPLATES),$(BIN)/djade --target-version 5.2 $(TEMPLATES))

lock: .venv/dev.txt  ## Choose versions anew (ARGS="--upgrade" for the newest)
	$(BIN)/$(COMPILE) $(ARGS) -o requirements.txt pyproject.toml
	$(BIN)/$(COMPILE) $(ARGS) -o tests/requirements.txt -c requirements.txt --group dev

bench: .venv/dev.txt  ## Measure what large call groups, lists and the API cost (SIZE=100000, ONLY=import)
	@$(BIN)/python -m tests.bench

collection: .venv/dev.txt  ## Run the specification's collection with Postman's runner (needs Node)
	@$(BIN)/python -m tests.collection

fuzz: .venv/dev.txt  ## Send the API 5,000 requests made from its OpenAPI description
	@OBD_FUZZ=2000 $(BIN)/python -m pytest -q tests/api/test_fuzz.py

soak: .venv/dev.txt  ## Hand over 20,000 calls while everything that can fail does (SEED=7, CALLS=5000)
	@exec $(BIN)/python -m tests.soak

clean:  ## Remove what these commands made; the portal's data (var/) stays
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# A stamp is a copy of the lock that it was installed from.
.venv/runtime.txt: requirements.txt | $(BIN)/python
	@cmp -s $< $@ || { echo "Installing what the portal needs ..."; $(PIP) -r $<; cp $< $@; }
	@touch $@

.venv/dev.txt: tests/requirements.txt .venv/runtime.txt
	@cmp -s $< $@ || { echo "Installing what the tests need ..."; $(PIP) -r requirements.txt -r $<; cp $< $@; }
	@touch $@

$(BIN)/python:
	@.ci/venv $(PYTHONS)
