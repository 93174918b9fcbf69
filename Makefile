# What to do with the project; `make help` lists it.
.DEFAULT_GOAL := help
.PHONY: help run cluster test test-unit test-faults simulate lint-strict deny bench-search bench-search-quality bench-append bench-cold-load bench-retail bench-freshness

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: ## Build, and serve a small catalogue on 127.0.0.1:8080
	cargo run --locked --package server --bin colophon -- serve --demo

cluster: ## Build, and run the distributed form on this machine: two nodes on 127.0.0.1:8080 and :8081, and what they need
	cargo build --locked --package server --bin colophon --features distributed
	deploy/cluster

test: ## Run every test, on a Postgres and a Kafka that are started for it (or DATABASE_URL and KAFKA_BROKERS)
	tests/services/with-services cargo test --locked --workspace --all-features

test-unit: ## Run the tests that need no process of their own
	cargo test --locked --workspace --exclude tests --lib

test-faults: ## Run the tests of faults at full length: outages of a minute, ten minutes of rebalances
	COLOPHON_FAULTS=full tests/services/with-services cargo test --locked --workspace --all-features faults -- --nocapture --test-threads 1

simulate: ## Run the simulation from SEEDS seeds, the first of them FROM
	SIMULATE_SEEDS=$(or $(SEEDS),10000) SIMULATE_FROM=$(or $(FROM),1) cargo test --locked --package tests nobody_is_cheated

lint-strict: ## Check format and lints; every warning is an error
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-features --all-targets -- --deny warnings

deny: ## Check licences, advisories and sources of dependencies (installs cargo-deny into target/)
	cargo install --locked --root target/tools cargo-deny
	target/tools/bin/cargo-deny check

bench-search: ## How long searches take, over HTTP and beside bare tantivy
	cargo build --locked --release --package server --package bench
	target/release/bench search

bench-search-quality: ## How well books are found, beside SQLite FTS5 and Postgres
	cargo build --locked --release --package server --package bench
	target/release/bench search-quality

bench-append: ## Durable appends per second, beside group commit to a plain file
	cargo run --locked --release --package bench -- append

bench-cold-load: ## How long a hot book's stock takes to be read cold, without snapshots and with them
	cargo run --locked --release --package bench -- --rounds 3 cold-load

bench-retail: ## A shop's half year over HTTP, with a recount of every copy and cent at the end
	cargo build --locked --release --package server --package bench
	target/release/bench retail

bench-freshness: ## From an answer to a read that shows it, in one process and over Kafka
	cargo build --locked --release --package server --package bench --features server/distributed
	tests/services/with-services target/release/bench freshness
