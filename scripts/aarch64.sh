#!/usr/bin/env bash
# Another processor: the workspace checked for AArch64, and the codec's unit tests run there, by qemu. All instruction sets must give
# the same bits. Installs a cross compiler, qemu and Rust's library for AArch64 where that can be done; where not, it
# says so and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { echo "skipped on AArch64: $*" >&2; exit 0; }

[ "$(uname -sm)" != "Linux aarch64" ] || skip "this machine is one, and all other tests run there"
[ "$(uname -s)" = Linux ] || skip "qemu runs programs of other processors on Linux only"

target=aarch64-unknown-linux-gnu
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
    timeout 300 rustup target add "$target" || skip "Rust's library for $target is missing, and rustup cannot add it"
fi

has_all() {
    command -v aarch64-linux-gnu-gcc && command -v aarch64-linux-gnu-g++ && command -v qemu-aarch64-static &&
        [ -e /usr/aarch64-linux-gnu/include/stdio.h ]
}
if ! has_all >/dev/null 2>&1; then
    packages=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)
    command -v apt-get >/dev/null 2>&1 || skip "these are missing (names are Debian's): ${packages[*]}"
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo -n)
    echo "Installing ${packages[*]} ..." >&2
    { "${sudo[@]}" apt-get update -qq && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >/dev/null </dev/null ||
        skip "these cannot be installed: ${packages[*]}"
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
cargo clippy --workspace --locked --target "$target" -- -D warnings
cargo clippy -p microtome-codec --all-targets --locked --target "$target" -- -D warnings
cargo test -p microtome-codec --lib --locked --target "$target"
