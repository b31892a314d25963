# The verbs of this project; each sets up what it needs. PYTHON=... picks the interpreter of .venv.
.PHONY: install test lint docs run clean
VENV := $(CURDIR)/.venv/bin

install:
	@sh tools/setup.sh

test:
	@sh tools/setup.sh --original chromium curl redis-server zsh fish mandoc nginx ssh=openssh-client sshd=openssh-server
	$(VENV)/python tools/runtests.py $(ARGS)

lint: install
	$(VENV)/ruff check . && $(VENV)/ruff format --check .
	$(VENV)/mypy && $(VENV)/mypy --no-warn-unused-configs tools && $(VENV)/python tools/gendocs.py --check

docs: install
	$(VENV)/python tools/gendocs.py

run: install
	@PATH="$(VENV):$$PATH" CIRCUS_STATE_DIR="$(CURDIR)/examples/demo/state" exec circusd --name demo examples/demo/circus.ini

clean:
	rm -rf .venv .original static/vendor static/.vendor-* examples/demo/state build dist *.egg-info .*_cache .hypothesis
	find daemon circusweb tests tools -name __pycache__ -prune -exec rm -rf {} +
