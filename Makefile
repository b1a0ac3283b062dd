# Every command a contributor or CI needs. `make` lists them; `make test` is the
# whole proof of a change and what .ci/run calls.
#
# A fresh clone needs Go, a C compiler (for the race detector), Python 3.11, Node.js 20.19
# with npm, and Chromium: `make test` looks for them first, and apt installs what is missing
# where it can. Everything else is installed into .bin/ and inspector/web/node_modules by
# the target that needs it.

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.9.0

GO      ?= go
PYTHON  ?= python3
NODE    ?= node
NPM     ?= npm
# Per test binary: a hung test prints its goroutines and fails.
TIMEOUT ?= 8m
# `make fuzz FUZZTIME=5m`, `make bench ARGS="-reps 7"`.
FUZZTIME ?= 10s
ARGS     ?=

BIN           := $(CURDIR)/.bin
GOLANGCI_LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOVULNCHECK   := $(BIN)/govulncheck-$(GOVULNCHECK_VERSION)
# Its own go.mod, so that no user of the module ever gets the tools' graph.
BUF           := $(GO) tool -modfile=$(CURDIR)/tools/go.mod buf
# A tool is built without the race detector or C, whatever the caller's settings.
INSTALL_TOOL  := CGO_ENABLED=0 GOFLAGS= $(GO) install -trimpath

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# The parts of `make test` share ports, caches and CPU: one after another.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# A header in front of each part, so that a long log can be read.
step = @printf '\n=== %s\n' '$(1)'

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ Build

.PHONY: all
all: build test ## Build and test everything

.PHONY: build
build: ## Compile every package of both modules
	$(call step,build)
	$(GO) build ./...
	cd bench && $(GO) build ./...

.PHONY: build-cross
build-cross: ## Compile for the other supported systems
	$(call step,build for linux/arm64 darwin/arm64 windows/amd64)
	@for target in linux/arm64 darwin/arm64 windows/amd64; do \
		echo "$$target"; \
		CGO_ENABLED=0 GOOS="$${target%/*}" GOARCH="$${target#*/}" $(GO) build ./...; \
	done

.PHONY: run-chat
run-chat: ## Run a chat server on the default ports
	$(GO) run ./samples/chat/server/

.PHONY: clean
clean: ## Remove what the other targets have left: .bin, node_modules and test binaries
	rm -rf $(BIN) $(WEB)/node_modules
	find . -name '*.test' -not -path './.git/*' -type f -delete

##@ Test

# The Go tests come last, so that the log ends with their own output.
.PHONY: test
test: check-prereqs check-chromium check-fmt lint check-generate check-tidy check-web test-web test-e2e test-bench test-chaos test-go ## The whole proof of a change

# On Debian and Ubuntu, as root or with sudo, what is missing is installed. What is there
# stays: one that is too old is named, whoever it came from.
.PHONY: check-prereqs
check-prereqs:
	$(call step,prerequisites)
	@missing=""; \
	for need in gcc:gcc git:git $(PYTHON):python3 $(NODE):nodejs $(NPM):npm; do \
		command -v "$${need%:*}" >/dev/null || missing="$$missing $${need##*:}"; \
	done; \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null; then \
		sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -q && $$sudo apt-get install -y -q $$missing && missing=""; \
	fi; \
	command -v $(GO) >/dev/null || missing="$$missing go"; \
	if [ -n "$$missing" ]; then \
		echo "missing:$$missing (Debian: apt-get install gcc git python3 nodejs npm; Go: https://go.dev/dl; Node.js: https://nodejs.org)" >&2; \
		exit 1; \
	fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "too old: $$($(PYTHON) --version), 3.11 or later is needed (or make PYTHON=/path/to/it)" >&2; exit 1; }; \
	$(NODE) -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || a == 20 && b >= 19 ? 0 : 1)' || \
		{ echo "too old: Node.js $$($(NODE) --version), 20.19 or later is needed (https://nodejs.org)" >&2; exit 1; }
	@$(GO) version; $(PYTHON) --version; echo "Node.js $$($(NODE) --version)"

.PHONY: test-go
test-go: ## Go vet, then the Go tests with the race detector in random order
	$(call step,go vet)
	$(GO) vet ./...
	$(call step,go test -race)
	$(GO) test -race -shuffle=on -timeout=$(TIMEOUT) ./...

.PHONY: test-bench
test-bench: ## Vet and test the benchmark module
	$(call step,bench module)
	cd bench && $(GO) vet ./... && $(GO) test -timeout=$(TIMEOUT) ./...

.PHONY: test-e2e
test-e2e: ## Every end-to-end script: real processes, scripted clients
	@for script in script/test_*.py; do \
		printf '\n=== end to end: %s\n' "$$script"; \
		$(PYTHON) "$$script"; \
	done

WEB := inspector/web
# Never the browser that Playwright would download: Debian's, or CHROMIUM.
CHROMIUM ?= /usr/bin/chromium
export CHROMIUM
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD := 1

# What npm has installed last, so that it does so only when the lock has changed.
$(WEB)/node_modules/.installed: $(WEB)/package-lock.json
	@command -v $(NPM) >/dev/null || { echo "missing: Node 20.19 or later with npm (https://nodejs.org)" >&2; exit 1; }
	cd $(WEB) && $(NPM) ci --no-audit --no-fund
	touch $@

.PHONY: check-chromium
check-chromium:
	@if [ ! -x "$(CHROMIUM)" ] && command -v apt-get >/dev/null; then \
		sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -q && $$sudo apt-get install -y -q chromium; \
	fi; \
	if [ ! -x "$(CHROMIUM)" ]; then \
		echo "missing: Chromium at $(CHROMIUM) (Debian: apt-get install chromium; elsewhere: make CHROMIUM=/path/to/it)" >&2; \
		exit 1; \
	fi
	@"$(CHROMIUM)" --version

.PHONY: test-web
test-web: $(WEB)/node_modules/.installed check-chromium ## The inspector's page: types, unit tests, tests in a real browser
	$(call step,the inspector in a browser)
	cd $(WEB) && npx tsc --noEmit && npx vitest run && npx playwright test

.PHONY: build-web
build-web: $(WEB)/node_modules/.installed ## Build the inspector's page into inspector/web/dist
	cd $(WEB) && npx vite build

# Builds into an empty directory and compares, as check-generate does.
.PHONY: check-web
check-web: $(WEB)/node_modules/.installed ## Fail when the inspector's built page is not what its source gives
	$(call step,built page)
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	(cd $(WEB) && OUT="$$fresh" npx vite build --logLevel warn); \
	diff -rq "$$fresh" $(WEB)/dist || { echo "inspector/web/dist is stale: run make build-web and commit the result" >&2; exit 1; }; \
	echo "up to date"

.PHONY: measure-web
measure-web: $(WEB)/node_modules/.installed check-chromium ## How soon the page shows what happens, and how smoothly (about 8 minutes)
	cd $(WEB) && npx playwright test -c playwright.measure.config.ts

.PHONY: screenshots
screenshots: $(WEB)/node_modules/.installed check-chromium ## Take the pictures of docs/inspector.md anew
	cd $(WEB) && SCREENSHOTS=1 npx playwright test -g 'on a desktop'

# `CHAOS_SEED=42 make chaos` repeats the faults of a run, `CHAOS_FOR=10m` goes round until
# then, `CHAOS="kill,freeze" make chaos` runs some. See docs/chaos.md.
CHAOS ?= all

.PHONY: chaos
chaos: ## Torment a cluster of real processes, and check its answers (about 7 minutes)
	$(call step,chaos)
	$(GO) run ./internal/chaos/cmd/chaos -run $(CHAOS)

.PHONY: chaos-short
chaos-short: ## A part of chaos, twice, with other faults each time (about 2 minutes)
	$(call step,chaos, a short one)
	$(GO) run ./internal/chaos/cmd/chaos -run short -for 100s

.PHONY: test-chaos
test-chaos:
	@if [ "$$($(GO) env GOOS)" = linux ]; then $(MAKE) chaos-short; else echo "chaos needs Linux: left out"; fi

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (default 10s)
	@targets=$$(grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|^(.*)/[^/]+:[0-9]+:func |\1 |' || true); \
	if [ -z "$$targets" ]; then echo "no fuzz targets found" >&2; exit 1; fi; \
	while read -r package target; do \
		printf '\n=== fuzz %s %s\n' "$$package" "$$target"; \
		(cd "$$package" && $(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) .); \
	done <<< "$$targets"

.PHONY: bench
bench: ## Measure GoVerse beside its peers: BENCH=local (15 minutes), remote or inspect; ARGS="-reps 7"
	$(call step,benchmarks)
	cd bench && $(GO) run ./cmd/gvbench $(or $(BENCH),local) $(ARGS)

##@ Check

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Lint Go and protobuf
	$(call step,lint)
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...
	cd bench && $(GOLANGCI_LINT) run --allow-parallel-runners ./...
	$(BUF) lint
	cd bench && $(BUF) lint
	$(BREAKING)

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format Go and protobuf in place
	$(GOLANGCI_LINT) fmt
	$(BUF) format -w
	cd bench && $(BUF) format -w

.PHONY: check-fmt
check-fmt: $(GOLANGCI_LINT) ## Fail when something is not formatted
	$(call step,format)
	$(GOLANGCI_LINT) fmt --diff
	$(BUF) format --diff --exit-code
	cd bench && $(BUF) format --diff --exit-code

# What clients rely on, as it was when it was last generated. It only grows: what breaks
# it is generated into nothing.
CONTRACT     := client/proto/contract.txtpb
PROMISED     := --path client/proto --path samples/chat/proto
BREAKING     := $(BUF) breaking --against $(CONTRACT) $(PROMISED)
# As bytes, for comparing: the text has blanks that differ from build to build.
OLD_CONTRACT := $(BUF) build $(CONTRACT) --exclude-source-info -o -\#format=binpb
NEW_CONTRACT := $(BUF) build $(PROMISED) --exclude-source-info -o -\#format=binpb

.PHONY: generate
generate: ## Regenerate the protobuf code, unless the contract with clients is broken
	$(BREAKING)
	$(BUF) generate
	cd bench && $(BUF) generate
	cmp -s <($(OLD_CONTRACT)) <($(NEW_CONTRACT)) || $(BUF) build $(PROMISED) --exclude-source-info -o $(CONTRACT)

# Generates into an empty directory and compares, so that it can neither repair
# the tree it checks nor be misled by what is uncommitted in it.
.PHONY: check-generate
check-generate: ## Fail when generated code is not what its source gives
	$(call step,generated code)
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; mkdir "$$fresh/bench"; \
	$(BUF) generate -o "$$fresh"; \
	(cd bench && $(BUF) generate -o "$$fresh/bench"); \
	fail() { echo "$$1: run make generate and commit the result" >&2; exit 1; }; \
	generated() { (cd "$$1" && find . -name '*.pb.go' -not -path './.git/*' | sort); }; \
	diff <(generated "$$fresh") <(generated .) || fail "generated files missing (<) or left over (>)"; \
	while read -r file; do \
		diff -u "$$file" "$$fresh/$$file" || fail "$$file is stale"; \
	done < <(generated "$$fresh"); \
	cmp <($(OLD_CONTRACT)) <($(NEW_CONTRACT)) || fail "$(CONTRACT) is stale"; \
	echo "up to date"

.PHONY: tidy
tidy: ## Tidy the three modules
	$(GO) mod tidy
	cd bench && $(GO) mod tidy
	cd tools && $(GO) mod tidy

.PHONY: check-tidy
check-tidy: ## Fail when a go.mod or go.sum is not tidy
	$(call step,tidy modules)
	$(GO) mod tidy -diff
	cd bench && $(GO) mod tidy -diff
	cd tools && $(GO) mod tidy -diff

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## Look for known vulnerabilities (asks vuln.go.dev)
	$(call step,vulnerabilities)
	$(GOVULNCHECK) ./...

.PHONY: sizes
sizes: ## List hand-written Go files of more than 300 lines
	@find . -name '*.go' -not -name '*.pb.go' -not -path './.git/*' -print0 \
		| xargs -0 wc -l | awk '$$1 > 300 && $$2 != "total"' | sort -rn

# Tools: built once per version.

$(GOLANGCI_LINT):
	$(call step,install golangci-lint $(GOLANGCI_LINT_VERSION))
	@mkdir -p $(BIN)
	GOBIN=$(BIN) $(INSTALL_TOOL) github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $@

$(GOVULNCHECK):
	$(call step,install govulncheck $(GOVULNCHECK_VERSION))
	@mkdir -p $(BIN)
	GOBIN=$(BIN) $(INSTALL_TOOL) golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	mv $(BIN)/govulncheck $@
