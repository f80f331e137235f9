#!/usr/bin/env bash
# Checks the pages' scripts: types, unit tests, and that what is kept built in the server's assets is what `viewer/` builds.
# Says so and does nothing where there is no Node.js that can build them; cargo needs none.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(node --version 2>/dev/null || echo v0)
if ! command -v npm >/dev/null 2>&1 || [ "$(printf '%s\n' v20.19.0 "$version" | sort -V | head -n 1)" != v20.19.0 ]; then
    echo "viewer: not checked, for want of npm and Node.js 20.19 or newer (found: $version)" >&2
    exit 0
fi

assets=crates/microtome-server/assets
kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT
cp -R "$assets/." "$kept"
cd viewer
npm ci --silent
npm run --silent check
npm test --silent
npm run --silent build >/dev/null
cd ..
if ! diff -r "$kept" "$assets" >/dev/null; then
    echo "viewer: $assets was not what viewer/ builds; it is now: look at it and commit it" >&2
    exit 1
fi
