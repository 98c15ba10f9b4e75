# Everything below runs with Python 3.11 or newer and make; the rest is fetched into .venv.
# Paths are relative, so that the checkout may lie anywhere, spaces included.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
WORKERS ?= 3
STAMP := .venv/.synced
# What covers domain, commands and projections: their own tests, and the routes that ask for each read model. Not those that
# compare times, which measuring stretches.
COVERED := tests/domain tests/commands tests/projections tests/erasure tests/exports tests/retention tests/channels tests/notifier \
	$(addprefix tests/record/test_, key_rotation.py package.py verification.py witness.py) $(addprefix tests/gateway/test_, approvals.py direct.py \
	history.py holds.py http.py letters.py lookalikes.py mentions.py notifications.py operating.py pins.py reactions.py \
	read_marks.py rights.py sessions.py tasks.py threads.py time_travel.py) \
	--deselect tests/gateway/test_letters.py::test_who_asks_for_a_stranger_gets_the_same_answer
COVERED_PERCENT := 95

export UV_PYTHON_DOWNLOADS := never
export UV_NATIVE_TLS := true
export UV_LINK_MODE := copy
export UV_COMPILE_BYTECODE := 1
# Bytecode is kept, whatever the environment says: without it every process of a run rewrites the assertions of all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up test browse screenshots check types coverage docs hooks simulate chaos soak honest crashes attack fuzz schema device bench bench-quick slack-viewer format env rights clean
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

up: $(STAMP) ## Start the whole system on this machine (Ctrl-C stops it)
	@exec $(BIN)/hansard up

test: $(STAMP) ## Run every test, on servers of their own (TESTS=a file or folder, WORKERS=3)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

browse: $(STAMP) ## Test the page in a real browser (Debian's chromium, or CHROMIUM=); axe-core comes with npm
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund; fi
	@$(BIN)/python -m pytest tests/web

screenshots: $(STAMP) ## Make the pictures of README and docs anew (needs Chromium)
	@$(BIN)/python -m pytest tests/web/screenshots.py

check: $(STAMP) ## Lint, strict types, import contracts, house rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/house
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(BIN)/pre-commit validate-config
	@$(MAKE) --no-print-directory types

types: ## Check the types of the JavaScript by TypeScript, and that the client's declarations are current (needs npm)
	@if ! command -v npm >/dev/null; then echo "npm is not there: the types of the JavaScript were not checked."; \
	elif ! npm ci --silent --no-audit --no-fund; then echo "npm cannot fetch TypeScript: the types of the JavaScript were not checked."; else \
	npx tsc --project . && npx tsc --project clients/javascript && \
	{ git diff --exit-code --stat -- clients/javascript/types || { echo "The declarations were made anew: commit them."; exit 1; }; }; fi

coverage: $(STAMP) ## Branch coverage of domain, commands and projections: a table; fails below 95 %
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(COVERED)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under $(COVERED_PERCENT)

docs: $(STAMP) ## Build the documentation site into .site/html; dead links fail
	@$(BIN)/python -m uv sync --quiet --frozen --inexact --group docs --python $(BIN)/python
	@$(BIN)/python -m handbook

hooks: $(STAMP) ## Have git run the linters before each commit
	@$(BIN)/pre-commit install

simulate: $(STAMP) ## Live through crashes in made-up time, seed after seed (SEEDS=1000 FIRST=1, or SEED=)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--first $(SEED) --seeds 1) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST))

chaos: $(STAMP) ## Kill everything at random amid talk, and check every promise (SECONDS=600 SEED=…)
	@$(BIN)/python -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

soak: $(STAMP) ## Talk steadily for an hour; nothing may grow (SECONDS=3600)
	@$(BIN)/python -m tests.chaos.soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

honest: $(STAMP) ## Verify made-up honest records, in which nothing may be found, then every attack with stolen keys (RECORDS=1000)
	@$(BIN)/python -m tests.record.honest $(if $(RECORDS),--records $(RECORDS)) $(if $(FIRST),--first $(FIRST))
	@ATTACK_POSITIONS=10 $(BIN)/python -m pytest -q -s tests/record/test_stolen_keys.py

crashes: $(STAMP) ## Kill each process of a divided rebuild at random, and go on with it (KILLS=60, SEED=)
	@REBUILD_KILLS=$(or $(KILLS),60) $(if $(SEED),SEED=$(SEED)) $(BIN)/python -m pytest -q tests/projections/test_rebuild_parts_crashes.py

attack: $(STAMP) ## Attack a deployment of its own in every way known; others must not notice (ONLY="pings …", SECONDS=4)
	@$(BIN)/python -m tests.attack $(if $(ONLY),--only $(ONLY)) $(if $(SECONDS),--seconds $(SECONDS))

bench: $(STAMP) ## Measure, side by side with the usual chat (ROWS="S1 S2", BENCH="--cores 2 --json FILE")
	@$(BIN)/python -m uv sync --quiet --frozen --inexact --group bench --python $(BIN)/python
	@$(BIN)/python -m bench $(ROWS) $(BENCH)

bench-quick: $(STAMP) ## The same in a minute: side by side only, one short round
	@$(BIN)/python -m uv sync --quiet --frozen --inexact --group bench --python $(BIN)/python
	@$(BIN)/python -m bench --quick $(ROWS) $(BENCH)

slack-viewer: $(STAMP) ## Bring slack-export-viewer into .slack-viewer, for the test that opens an export in it
	@$(BIN)/python -m venv .slack-viewer
	@.slack-viewer/bin/pip install --quiet --disable-pip-version-check --requirement tests/exports/slack-viewer.txt

fuzz: $(STAMP) ## A million frames against the socket protocol (RUNS=, SEED=)
	@$(BIN)/python -m tests.fuzz $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

schema: $(STAMP) ## Hold the server to its OpenAPI document with made requests (EXAMPLES=100, SEED=)
	@$(BIN)/python -m tests.schema $(if $(EXAMPLES),--examples $(EXAMPLES)) $(if $(SEED),--seed $(SEED))

device: $(STAMP) ## Be a device on this machine that is pushed to, to see what it is told (TOKEN=an access token, URL=)
	@$(BIN)/python -m tests.channels.device --token "$(TOKEN)" $(if $(URL),--url $(URL))

format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

env: $(STAMP) ## Write .env.example anew from the settings
	@$(BIN)/python -c "from runtime.settings_reader import example; print(example(), end='')" > .env.example

rights: $(STAMP) ## Write docs/rights.md anew from the tables and routes
	@$(BIN)/python -c "from gateway.app import rights_page; print(rights_page(), end='')" > docs/rights.md

clean: ## Remove .venv and caches; data under .hansard stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .import_linter_cache .coverage .site .slack-viewer

$(STAMP): pyproject.toml clients/python/pyproject.toml uv.lock Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hansard needs Python 3.11 or newer; this is %d.%d. Say which with: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv module is needed (on Debian: apt-get install python3-venv)."; exit 1; }
	@echo "Fetching the locked dependencies into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@$(BIN)/python -m uv sync --quiet --frozen --inexact --python $(BIN)/python
	@touch $(STAMP)
