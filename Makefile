# kflow: `make help` lists the targets.
SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: agents
agents: ## build the agents that kflow carries for its hosts
	$(GO) run ./engine/agent/binaries/build

.PHONY: build
build: agents ## build bin/kflow
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/kflow ./cmd/kflow

.PHONY: demo
demo: build ## the main job on simulated hosts: no root, no network, no inventory
	bin/kflow run playbooks/ha-containerd.yaml --simulate

.PHONY: sweep
sweep: build ## every kind of fault at every instance of the main job, simulated (minutes)
	bin/kflow simulate playbooks/ha-containerd.yaml --sweep --resume-after 3h

.PHONY: sweep-all
sweep-all: sweep ## the same for the other shipped playbooks
	bin/kflow simulate playbooks/docker-cri.yaml --sweep --resume-after 3h
	bin/kflow simulate playbooks/centos7-docker.yaml --os centos7 --sweep --resume-after 3h
	bin/kflow simulate playbooks/minikube.yaml --sweep --resume-after 3h

.PHONY: install
install: build ## copy kflow to PREFIX/bin (default /usr/local)
	install -D -m 755 bin/kflow $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/kflow

.PHONY: test
test: ## all checks that need no root: vet, format, tests with the race detector
	test/run.sh

.PHONY: fuzz
fuzz: ## run every fuzz test for FUZZTIME (default 20s) each
	test/fuzz.sh $(or $(FUZZTIME),20s)

.PHONY: bench
bench: ## benchmarks of every promise on speed and memory, as ratios in one run
	CGO_ENABLED=0 $(GO) test -v -run '^$$' -bench . -benchtime 1x ./test/bench ./engine/...

.PHONY: lint
lint: ## golangci-lint with the project's configuration (installs nothing)
	golangci-lint run

.PHONY: generate
generate: ## write schema/, docs/kinds/ and docs/expressions.md anew from the code
	$(GO) run ./engine/schema/gen

.PHONY: picture
picture: build ## draw the flagship's graph for the README, anew
	bin/kflow graph playbooks/ha-containerd.yaml -o svg >docs/ha-containerd.svg.new
	mv docs/ha-containerd.svg.new docs/ha-containerd.svg

.PHONY: lab
lab: ## build what the lab needs, once (root, Debian, about 8 minutes; cached)
	test/lab/lab.sh all

.PHONY: lab-up
lab-up: lab ## start five bare hosts on this machine
	test/lab/lab.sh up 5

.PHONY: lab-down
lab-down: ## stop the lab's hosts; leaves nothing behind
	test/lab/lab.sh down

.PHONY: cluster
cluster: build lab-up ## the main job for real: a highly available cluster on five lab hosts
	test/lab/lab.sh exec $(CURDIR)/bin/kflow run test/lab/site.yaml -i "$$(test/lab/lab.sh inventory)"

.PHONY: e2e
e2e: build lab ## acceptance tests on the lab's real hosts (root)
	test/e2e/run.sh

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin engine/agent/binaries/*.gz
