# The two commands of the README. Everything else is plain cargo.

.PHONY: demo test bench

PORT ?= 3007

# A synthetic slide in the browser.
demo:
	@scripts/setup.sh build
	cargo run --release --locked -- demo --port $(PORT)

# All checks.
test:
	@scripts/setup.sh test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	scripts/viewer.sh
	cargo test --workspace --locked
	scripts/aarch64.sh

# The benchmarks of the README.
bench:
	@scripts/setup.sh build
	cargo bench --locked
