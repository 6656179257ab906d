# make up      everything on this machine, in the foreground     (AUDITVAULT_HOME, AUDITVAULT_PORT)
# make test    everything the tests need, and the tests           (ARGS: pytest's arguments)
# make check   linters, types, import rules, migrations
# make audit   known vulnerabilities of what is locked; needs the advisories of pypi.org or osv.dev
# make bench   the benchmarks                                     (ARGS: theirs)
# make bench-pii  how much personal data is found, and how fast  (ARGS: theirs)
# make lock    deploy/lock/{runtime,dev}.txt from pyproject.toml; asks the package index
# make verifier  the verifier as one file, dist/auditvault-verify.pyz
# make clean   removes .venv, var/ and dist/

SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: up test check audit bench bench-pii lock verifier clean browser token

# The first Python on the path that is new enough and not too new.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# The lock is complete, so nothing is resolved: a newer release of something cannot get in the way.
LOCKED := --no-deps --require-hashes --only-binary :all:
ARGS ?=

up: $(VENV)/.runtime
	@exec $(BIN)/auditvault up $(ARGS)

# Two processes, each with servers of its own: most tests wait for a database. A file's tests stay together.
test: $(VENV)/.dev browser token
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# Settings refuse to start without their variables; these checks connect to nothing.
STATIC := env AUDITVAULT_SECRET_KEY_FILE=pyproject.toml \
	AUDITVAULT_CONTROL_URL=postgresql://none@127.0.0.1:1/none AUDITVAULT_REGIONS=eu \
	AUDITVAULT_REGION_EU_URL=postgresql://none@127.0.0.1:1/none \
	AUDITVAULT_KEYS_EU_URL=postgresql://none@127.0.0.1:1/none

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(STATIC) $(BIN)/mypy auditvault settings
	$(BIN)/lint-imports
	$(STATIC) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

audit: $(VENV)/.dev
	@$(BIN)/python deploy/lock/audit.py $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks $(ARGS)

bench-pii: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.pii $(ARGS)

# What is locked already stays as it is, unless pyproject.toml says otherwise.
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url

lock: $(BIN)/uv
	$(COMPILE) --output-file deploy/lock/runtime.txt
	$(COMPILE) --group dev --output-file deploy/lock/dev.txt

# Needs no .venv: whoever builds it wants to install nothing of the service.
verifier:
	@test -n "$(PYTHON)" || { echo "this needs Python 3.11, 3.12 or 3.13 (set PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) deploy/verifier/build.py dist/auditvault-verify.pyz

# Servers that run as another user may have their files outside var/, where a link names them.
clean:
	@case "$$(readlink var/servers)" in */auditvault-servers-*) rm -rf "$$(readlink var/servers)";; esac
	rm -rf $(VENV) var dist

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "auditvault needs Python 3.11, 3.12 or 3.13 (set PYTHON=...)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than what it was installed from: nothing is asked of the network once it stands.
$(VENV)/.runtime: deploy/lock/runtime.txt deploy/lock/build.txt pyproject.toml | $(BIN)/python
	@echo "installing from deploy/lock/runtime.txt (half a minute, once)"
	@$(PIP) $(LOCKED) -r deploy/lock/runtime.txt -r deploy/lock/build.txt
	@$(PIP) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.dev: deploy/lock/dev.txt $(VENV)/.runtime
	@echo "installing from deploy/lock/dev.txt"
	@$(PIP) $(LOCKED) -r deploy/lock/dev.txt
	@touch $@

# The console's tests look at it in a real browser.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| command -v google-chrome >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -qq -y --no-install-recommends chromium >/dev/null; \
	else \
		echo "the console's tests need Chromium: install the package chromium" >&2; exit 1; \
	fi

# The tests of key providers speak to a real PKCS#11 token.
token:
	@command -v softhsm2-util >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -qq -y --no-install-recommends softhsm2 >/dev/null; \
	else \
		echo "the tests of key providers need SoftHSM2: install the package softhsm2" >&2; exit 1; \
	fi
