.DEFAULT_GOAL := help
.PHONY: help setup demo test lint doc deny

CARGO ?= cargo

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## Install what the tests need beside Rust (Debian, Ubuntu); `make test` does it by itself
	tests/setup.sh

demo: ## The whole job on a tenant of its own: token, send, read by IMAP and POP3
	$(CARGO) run --quiet --package exomail-cli -- demo

test: setup lint doc ## Everything that must be green: lints, documentation, all tests (as root: see tests/README.md)
	$(CARGO) test --workspace --all-features

lint: ## Format and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- --deny warnings

doc: ## Build the documentation, warnings are errors
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --package exomail --package exomail-sandbox --no-deps --all-features

deny: ## Check licences and advisories of the dependencies (needs cargo-deny and network)
	$(CARGO) deny check
