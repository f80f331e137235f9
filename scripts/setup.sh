#!/usr/bin/env bash
# Installs what building (`build`) or testing (`test`) needs and is missing: Debian and Ubuntu by apt, as root or
# with sudo; elsewhere it says what to install. Does nothing where all is there.
set -euo pipefail

need=${1:?usage: scripts/setup.sh build|test}
missing=()

version=$(cargo --version 2>/dev/null | cut -d' ' -f2 || true)
if [ "$(printf '%s\n' 1.90.0 "${version:-0}" | sort -V | head -n 1)" != 1.90.0 ]; then
    echo "Please install Rust 1.90 or newer first (found: ${version:-none}): https://rustup.rs" >&2
    exit 1
fi

want() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

want cc gcc
want c++ g++
[ -e /usr/include/stdio.h ] || [ "$(uname)" != Linux ] || missing+=(libc6-dev)
want cmake cmake
want nasm nasm
if [ "$need" = test ]; then
    want python3 python3
    want dciodvfy dicom3tools
    # Without it `python3 -m venv` finds no pip.
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    # Debian's names; on Ubuntu these are snap packages of other names.
    if grep -qs '^ID=ubuntu' /etc/os-release; then
        want chromedriver chromium-chromedriver
    else
        want chromium chromium
        want chromedriver chromium-driver
    fi
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

if [ "$need" = test ]; then
    for tool in fmt clippy; do
        cargo "$tool" --version >/dev/null 2>&1 || rustup component add "${tool/fmt/rustfmt}"
    done
    # A second opinion on slides, independent readers of what `export` writes, clients of what is served: no part of the
    # build. Without them the tests that compare skip, and say so.
    python=target/test-python
    readers=(dicomweb-client==0.59.3 iiif-validator==1.0.5 imagecodecs openslide-bin==4.0.1.2 openslide-python schemathesis
        tifffile wsidicom==0.31.0)
    if ! "$python/bin/python" -c 'import dicomweb_client, iiif_validator, imagecodecs, openslide, schemathesis, tifffile, wsidicom' 2>/dev/null; then
        echo "Installing ${readers[*]} into $python ..." >&2
        python3 -m venv "$python" && "$python/bin/pip" install -q "${readers[@]}" ||
            echo "They cannot be installed: tests with independent readers will skip." >&2
    fi
fi
