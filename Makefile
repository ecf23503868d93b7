# Bare `make` prints the targets. Nothing here needs root. Docker: image, image-check, sbom, release-check, compose-….
.DEFAULT_GOAL := help
.PHONY: help setup demo test check audit conformance openapi check-kubernetes chaos chaos-short soak fuzz \
	properties format lock \
	bench-memory bench-storms bench-budget bench-download bench-trickle bench-scale bench-soon bench-replicas \
	bench-constants bench-throughput bench-insights scaling upgrade-check image image-check sbom release-check \
	compose-demo compose-check clean
VENV := .venv
# What `make chaos` and `make soak` are told.
SEED ?= 1
MINUTES ?= 20
PYTHON := $(VENV)/bin/python
# What `make conformance`, `audit` and `openapi` alone need lies apart: nothing of ours may come to depend on it.
CONFORMANCE := .cache/conformance
AUDIT := .cache/audit
OPENAPI := .cache/openapi
# RingCentral's own file is no part of this project; name another place with RINGCENTRAL_OPENAPI=...
RINGCENTRAL_OPENAPI ?= $(wildcard ../shared/rc-openapi-subset.yml)
# The same for `make check-kubernetes`: Kubernetes' schemas alone have 22 MB.
KUBERNETES := .cache/kubernetes
# A folder of CustomResourceDefinitions, as KEDA and the operators publish them.
KUBERNETES_DEFINITIONS ?= $(wildcard ../shared/crds)

help: ## print this
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything, from the hashed locks
	@./tools/setup

demo: setup ## run a simulated company through the real product and check the result (STORAGE=s3, KEEP=1)
	@$(PYTHON) -m demo

test: setup ## start real servers and run every test: unit, contract, integration, end to end
	@$(PYTHON) -m pytest tests/unit tests/contract tests/integration tests/end_to_end -p no:cacheprovider

upgrade-check: setup ## the previous release, out of the history, beside the present code on its schema
	@$(PYTHON) -m pytest tests/upgrade -p no:cacheprovider

check: setup ## formatting, lint, types and import contracts
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

audit: setup ## locks, installed files and licences; known vulnerabilities, where there is a network
	@$(MAKE) --silent $(AUDIT)/stamp || echo "audit: pip-audit could not be installed"
	@$(PYTHON) tools/audit.py

conformance: setup $(CONFORMANCE)/stamp ## hold client and simulator against RingCentral's OpenAPI file and SDK
	@PYTHONPATH=$(CONFORMANCE) $(PYTHON) -m pytest tests/unit/test_conformance*.py -q -p no:cacheprovider
	@PYTHONPATH=$(CONFORMANCE) RINGCENTRAL_OPENAPI="$(RINGCENTRAL_OPENAPI)" $(PYTHON) -m conformance

openapi: setup $(OPENAPI)/stamp ## hold a running receiver against docs/receiver-openapi.yaml
	@PYTHONPATH=$(CURDIR)/$(OPENAPI) $(PYTHON) -m conformance.receiver

.cache/%/stamp: requirements/%.txt | setup
	@rm -rf $(@D)
	@$(PYTHON) -m pip --quiet --disable-pip-version-check --no-input \
		install --target $(@D) --require-hashes -r $<
	@touch $@

check-kubernetes: setup $(KUBERNETES)/stamp ## hold deploy/kubernetes against schemas and our own rules (needs kubectl)
	@PYTHONPATH=$(KUBERNETES) KUBERNETES_DEFINITIONS="$(KUBERNETES_DEFINITIONS)" $(PYTHON) -m manifests
	@PYTHONPATH=$(KUBERNETES) KUBERNETES_DEFINITIONS="$(KUBERNETES_DEFINITIONS)" \
		$(PYTHON) -m pytest tests/kubernetes -q -p no:cacheprovider

chaos: setup ## break every part in every way under load and compare with the truth (CELLS=S3:cut,…, SEED=1)
	@$(PYTHON) -m chaos matrix --seed $(SEED) $(if $(CELLS),--cells $(CELLS))

chaos-short: setup ## a few cells of the same
	@$(PYTHON) -m chaos matrix --seed $(SEED) --short

soak: setup ## twenty minutes under load with an outage of each server; memory and descriptors (MINUTES=20)
	@$(PYTHON) -m chaos soak --seed $(SEED) --minutes $(MINUTES)

format: setup ## format the code
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

lock: setup ## write the hashed locks anew from pyproject.toml (needs uv)
	@./tools/lock

bench-memory: setup ## stream one recording of 1 GB and print the downloader's peak memory
	@$(PYTHON) -m benchmarks.memory

bench-storms: setup ## twenty companies of 300 recordings under every fault that ends, held against the truth
	@$(PYTHON) -m benchmarks.storms

bench-budget: setup ## how much of the rate limit several processes use together, and what is refused
	@$(PYTHON) -m benchmarks.budget

bench-scale: setup ## what each hot statement costs with up to five million recordings
	@$(PYTHON) -m benchmarks.scale

bench-trickle: setup ## genuine events beside a thousand half-open and trickling connections
	@$(PYTHON) -m benchmarks.trickle

properties: setup ## the property tests, with new examples in each run
	@$(PYTHON) -m pytest tests/unit tests/integration -m hypothesis --hypothesis-profile=exploring -p no:cacheprovider

fuzz: setup ## 100,000 odd requests against a real receiver: no 5xx, no crash, no growth (SEED=...)
	@$(PYTHON) -m benchmarks.fuzz $(if $(filter-out file,$(origin SEED)),--seed $(SEED))

bench-download: setup ## speed, memory, lost connections and bad answers of downloads, beside rclone copyurl
	@$(PYTHON) -m benchmarks.download $(ARGS)

bench-soon: setup ## how long after RingCentral has a recording it is stored, at the median
	@$(PYTHON) -m benchmarks.soon

bench-replicas: setup ## what more downloaders bring, with budget to spare and without (ARGS="--only four --seed 2")
	@$(PYTHON) -m benchmarks.replicas $(ARGS)

bench-constants: setup ## CPU, memory, transactions and bytes that one recording costs each part
	@$(PYTHON) -m benchmarks.constants $(ARGS)

bench-throughput: setup ## events a second through one receiver, RabbitMQ and one insights
	@$(PYTHON) -m benchmarks.throughput $(ARGS)

scaling: setup ## compute the tables of docs/scaling.md (ARGS=--write puts them there)
	@$(PYTHON) -m benchmarks.scaling $(ARGS)

bench-insights: setup ## light requests of 13,000 recordings a day that have no insights, minute by minute
	@$(PYTHON) -m benchmarks.insights

image: ## build the one image of all services
	@docker build --tag ringvault --build-arg REVISION=$$(git rev-parse HEAD) .

image-check: ## size, user, read-only run, signals, two equal builds: of the commit that is checked out
	@./tools/image-check

sbom: ## list what is installed in the image: dist/sbom.json, CycloneDX
	@docker build --quiet --target sbom --output dist . && echo dist/sbom.json

release-check: setup ## whether this commit can be released; needs Docker and a network (ALLOW_UNCHECKED=1)
	@PYTHONPATH=. $(PYTHON) tools/release_check.py

compose-check: ## the demonstration while each container is restarted (HOW=kill: killed) in its turn
	@./tools/compose-check $(or $(HOW),restart)

compose-demo: image ## the demonstration in containers
	@docker compose --profile demo up --build --exit-code-from demo --scale downloader=3

clean: ## remove what the other targets made
	@rm -rf .venv .demo .cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
