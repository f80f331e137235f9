#!/usr/bin/env bash
# Another processor: the workspace compiled for AArch64, and the codec's tests run there, by qemu. All instruction sets must give
# the same bits. Installs a cross compiler, qemu and Rust's library for AArch64 where that can be done; where not, it
# says so and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { echo "skipped on AArch64: $*" >&2; exit 0; }

[ "$(uname -sm)" != "Linux aarch64" ] || skip "this machine is one, so that all other tests ran there"
[ "$(uname -s)" = Linux ] || skip "qemu runs programs of other processors on Linux only"

sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo -n)
if ! { command -v aarch64-linux-gnu-g++ && command -v qemu-aarch64-static; } >/dev/null 2>&1; then
    command -v apt-get >/dev/null 2>&1 || skip "aarch64-linux-gnu-g++ or qemu-aarch64-static is missing"
    packages=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)
    echo "Installing ${packages[*]} ..." >&2
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" \
        >/dev/null 2>&1 || skip "${packages[*]} cannot be installed"
fi
target=aarch64-unknown-linux-gnu
rustup target add "$target" >/dev/null 2>&1 || skip "rustup has no $target"

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
cargo clippy --workspace --locked --target "$target" -- -D warnings
cargo test -p microtome-codec --locked --target "$target"
