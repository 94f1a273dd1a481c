# Every target is a line over a playbook or a test command. Tools live in .venv, so
# `.venv/bin/ansible-playbook playbooks/full_run.yml` works by hand too.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# As for Ansible itself: export ANSIBLE_INVENTORY once, and every command means your hosts.
INVENTORY ?= $(or $(ANSIBLE_INVENTORY),inventory/lab)
LAB_HOSTS ?= 1
ARGS ?=
export LAB_HOSTS

# What Ansible needs of its environment, whatever that of the user says. It ignores an ansible.cfg in a folder that all may write to.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export LC_ALL := C.UTF-8

PLAYBOOK := .venv/bin/ansible-playbook -i $(INVENTORY)
LAB_PLAYBOOK := .venv/bin/ansible-playbook -i inventory/lab
# The lab is made for its own inventory only; real hosts are there already.
LAB := $(if $(filter $(abspath inventory/lab),$(abspath $(INVENTORY))),lab)
# Those without the lab wait more than they compute.
PYTEST_FAST := .venv/bin/pytest -m "not lab" --numprocesses 4
# Those of the lab: a process for each of the three clusters that its five hosts form (tests/lab/cluster.py).
PYTEST_LAB := .venv/bin/pytest tests/lab -m "not faults and not quiet" --numprocesses 3
PYTEST_QUIET := .venv/bin/pytest tests/lab -m quiet
TEST_HOSTS := 5

.PHONY: help
help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "; print "Usage: make TARGET [INVENTORY=inventory/mine] [LAB_HOSTS=1] [ARGS=\"-e session_server_replicas=3\"]\n"} \
	  /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.ready ## Make the Python environment in .venv (installs python3-venv when it is missing)

.venv/.ready: requirements.txt requirements-dev.txt files/client/pyproject.toml tools/setup.sh
	tools/setup.sh

.PHONY: run
run: setup $(LAB) ## Run everything: cluster, image, deployment, measurement, report
	$(PLAYBOOK) playbooks/full_run.yml $(ARGS)

.PHONY: preflight
preflight: setup $(LAB) ## Check settings and hosts; changes nothing
	$(PLAYBOOK) playbooks/preflight.yml $(ARGS)

.PHONY: deploy
deploy: setup $(LAB) ## Everything but the measurement: cluster, image, deployment; tells where sessions connect
	$(PLAYBOOK) $(addprefix playbooks/,preflight.yml cluster.yml image.yml deploy.yml) $(ARGS)

.PHONY: measure
measure: setup ## Measure and report what is deployed
	$(PLAYBOOK) playbooks/measure.yml playbooks/report.yml $(ARGS)

.PHONY: upgrade
upgrade: setup ## Bring MicroK8s to the channel or the files that are set, one node at a time
	$(PLAYBOOK) playbooks/upgrade.yml $(ARGS)

.PHONY: redeploy
redeploy: setup ## After an edit of files/server: new image, rollout, one short measurement
	$(PLAYBOOK) playbooks/redeploy.yml $(ARGS)

.PHONY: compare
compare: setup $(LAB) ## Compare all dispatches over several request orders; -e session_client_run=RUN in ARGS goes on with a run
	$(PLAYBOOK) playbooks/compare.yml $(ARGS)

.PHONY: reset
reset: setup ## Remove from the hosts what the bundle made
	$(PLAYBOOK) playbooks/reset.yml $(ARGS)

.PHONY: lab
lab: setup ## Make the lab in a box: LAB_HOSTS hosts as containers of the local Docker engine
	$(LAB_PLAYBOOK) lab/prepare.yml
	python3 lab/build.py
	$(LAB_PLAYBOOK) lab/create.yml $(if $(filter lab,$(MAKECMDGOALS)),$(ARGS))

.PHONY: lab-down
lab-down: setup ## Remove the lab's hosts (what was built stays cached)
	$(LAB_PLAYBOOK) lab/destroy.yml $(ARGS)

.PHONY: lint
lint: setup ## Lint: ansible-lint, yamllint, ruff, mypy, shellcheck
	tools/lint.sh

.PHONY: test-fast
test-fast: lint ## Lint, unit and render tests: no lab needed
	$(PYTEST_FAST) $(ARGS)

.PHONY: test
test: lint ## Every test but the faults: lint, unit, render, then the lab: full run, second run, redeploy, reset, three hosts
	$(PYTEST_FAST)
	$(MAKE) lab LAB_HOSTS=$(TEST_HOSTS) ARGS=
	$(PYTEST_LAB) $(ARGS)
	$(PYTEST_QUIET)

.PHONY: faults
faults: LAB_HOSTS = $(TEST_HOSTS)
faults: setup lab ## Cut pods, nodes, links and joins of three hosts, longer than half an hour, and print what became of the sessions
	.venv/bin/pytest tests/lab -m faults $(ARGS)

.PHONY: fuzz
fuzz: setup ## Fuzz the queue: its state machine, then hostile networks, clients and pods, then kills; FUZZ_SECONDS (600) each, FUZZ_SEED
	FUZZ_EXAMPLES=$$(($(FUZZ_SECONDS) * 20)) FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) \
	  .venv/bin/pytest tests/unit/dispatcher/test_machine.py tests/fuzz -s $(ARGS)
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= $(shell echo $$RANDOM)

.PHONY: bench
bench: setup ## Benchmarks: sessions a second and added latency of each dispatch, redeploying; BENCH=loopback, flatness, cluster or redeploy for one
	$(foreach name,$(BENCH),.venv/bin/python tests/bench/$(name).py $(if $(filter-out loopback flatness,$(name)),--inventory $(INVENTORY)) $(ARGS) && echo &&) true
BENCH ?= loopback flatness cluster redeploy

.PHONY: lock
lock: setup ## Pin requirements*.in again, with hashes
	.venv/bin/pip install -q pip-tools
	.venv/bin/pip-compile -q $(LOCK) -o requirements.txt requirements.in
	.venv/bin/pip-compile -q $(LOCK) -o requirements-dev.txt requirements-dev.in
	.venv/bin/pip-compile -q $(LOCK) -o files/dispatcher/requirements.txt files/dispatcher/requirements.in
LOCK := --generate-hashes --strip-extras --no-header --no-emit-find-links --no-emit-index-url --allow-unsafe
