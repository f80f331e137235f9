#!/usr/bin/env bash
# Installs what building (`build`) or testing (`test`) needs and is missing: Debian and Ubuntu by apt, as root or
# with sudo; elsewhere it says what to install. Does nothing where all is there.
set -euo pipefail

need=${1:?usage: scripts/setup.sh build|test}
missing=()

want() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

want cc gcc
want make make
want cmake cmake
want nasm nasm
if [ "$need" = test ]; then
    command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing+=(chromium)
    want chromedriver chromium-driver
fi

if [ ${#missing[@]} -gt 0 ]; then
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    if ! command -v apt-get >/dev/null 2>&1 || { [ ${#sudo[@]} -gt 0 ] && ! command -v sudo >/dev/null 2>&1; }; then
        echo "Please install these first (names are Debian's): ${missing[*]}" >&2
        exit 1
    fi
    echo "Installing ${missing[*]} ..." >&2
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "Please install Rust 1.90 or newer first: https://rustup.rs" >&2
    exit 1
fi
if [ "$need" = test ]; then
    for tool in fmt clippy; do
        cargo "$tool" --version >/dev/null 2>&1 || rustup component add "${tool/fmt/rustfmt}"
    done
fi
