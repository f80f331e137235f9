#!/usr/bin/env bash
# How much a running server bears: random tiles, each once, then one tile again and again by curl, ab and wrk. Prints
# one table. What the figures mean: docs/performance.md, "Load tests".
#
#   scripts/load_test.sh [URL] [SLIDE]      URL: http://localhost:3007; SLIDE, as in URLs: the first of the list
#
# CURL_REQUESTS (200), WRK_DURATION (30s) and COLD_TILES (2000) change how much is asked for.
set -euo pipefail

url=${1:-http://localhost:3007}
url=${url%/}
slide=${2:-}
curl_requests=${CURL_REQUESTS:-200}
wrk_duration=${WRK_DURATION:-30s}
cold_tiles=${COLD_TILES:-2000}
cold_connections=8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "load_test: $*" >&2; }
fail() { say "$*"; exit 1; }

row() { # TEST REQUESTS REQUESTS/S P50 P99 ERRORS
    printf '%-34s %9s %11s %10s %10s %7s\n' "$@" >>"$work/table"
}

row_of_cells() { # TEST; the other cells on standard input
    local cells
    read -r -a cells
    row "$1" "${cells[@]}"
}

# True if the tool is there; else says what to install, in the table too.
have() { # TEST COMMAND PACKAGE
    command -v "$2" >/dev/null 2>&1 && return
    say "$1 is skipped, $2 is missing: apt-get install $3 (Debian's name)"
    row "$1" skipped "no $2" - - -
    return 1
}

# A row from lines "STATUS SECONDS", one a request.
row_of_times() { # TEST FILE WALL_SECONDS
    local errors
    errors=$(awk '$1 != 200' "$2" | wc -l)
    sort -n -k 2 "$2" | awk -v wall="$3" -v errors="$errors" '
        function at(share,  i) { i = int(share * NR); if (i < share * NR) i++; return 1000 * times[i < 1 ? 1 : i] }
        { times[NR] = $2 }
        END { printf "%d %.0f %.2fms %.2fms %d\n", NR, NR / wall, at(0.5), at(0.99), errors }' | row_of_cells "$1"
}

seconds_since() { awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN { print b - a }'; }

# Finds the slide, its finest level and its grid.
look() {
    local list descriptor
    list=$(curl -fsS "$url/slides") || fail "$url does not answer: start it with microtome --slides-root DIR"
    if [ -z "$slide" ]; then
        slide=$(grep -o '"dzi":"[^"]*"' <<<"$list" | head -n 1 | sed 's|"dzi":"/dzi/||; s|\.dzi"$||') || true
        [ -n "$slide" ] || fail "$url serves no slide"
    fi
    descriptor=$(curl -fsS "$url/dzi/$slide.dzi") || fail "$url has no slide $slide: curl $url/slides lists them"
    attribute() { grep -o "$1=\"[0-9]*\"" <<<"$descriptor" | head -n 1 | grep -o '[0-9]*'; }
    local width height tile longest
    width=$(attribute Width) height=$(attribute Height) tile=$(attribute TileSize)
    columns=$(((width + tile - 1) / tile)) rows=$(((height + tile - 1) / tile))
    level=0 longest=$((width > height ? width : height))
    while [ $((1 << level)) -lt "$longest" ]; do level=$((level + 1)); done
}

tile_url() { echo "$url/tiles/$slide/$level/$1_$2.jpg"; }

curl_loop() {
    local begin name="curl, one after the other"
    say "$name ..."
    begin=$(date +%s.%N)
    for _ in $(seq "$curl_requests"); do
        curl -s -o /dev/null -w '%{http_code} %{time_total}\n' "$hot" || true
    done >"$work/curl"
    row_of_times "$name" "$work/curl" "$(seconds_since "$begin")"
}

apache_bench() {
    local name="ab -n 1000 -c 50"
    have "$name" ab apache2-utils || return 0
    say "$name ..."
    ab -q -n 1000 -c 50 "$hot" >"$work/ab" 2>&1 || true
    awk '
        /^Complete requests:/ { n = $3 } /^Failed requests:/ { failed = $3 } /^Non-2xx responses:/ { other = $3 }
        /^Requests per second:/ { rate = $4 } $1 == "50%" { p50 = $2 } $1 == "99%" { p99 = $2 }
        END {
            if (n == "") { print "failed", "-", "-", "-", "-" }
            else { printf "%d %.0f %dms %dms %d\n", n, rate, p50, p99, failed + other }
        }' "$work/ab" | row_of_cells "$name"
}

wrk_run() {
    local name="wrk -t12 -c400 -d$wrk_duration"
    have "$name" wrk wrk || return 0
    say "$name ..."
    wrk -t12 -c400 "-d$wrk_duration" --latency "$hot" >"$work/wrk" 2>&1 || true
    awk '
        function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t ~ /m$/ ? t * 60000 : t * 1000 }
        / requests in / { n = $1 } /^Requests\/sec:/ { rate = $2 }
        $1 == "50%" { p50 = ms($2) } $1 == "99%" { p99 = ms($2) }
        /^ *Socket errors:/ { gsub(",", ""); errors += $4 + $6 + $8 + $10 } /^ *Non-2xx/ { errors += $NF }
        END {
            if (n == "") { print "failed", "-", "-", "-", "-" }
            else { printf "%d %.0f %.2fms %.2fms %d\n", n, rate, p50, p99, errors }
        }' "$work/wrk" | row_of_cells "$name"
}

# Random tiles of the finest level, none twice: the tile cache has those only that were asked for before this run.
cold_run() {
    local begin name="random tiles, $cold_connections at a time"
    say "$name ..."
    shuf -i "0-$((columns * rows - 1))" -n "$cold_tiles" | while read -r i; do
        printf 'url = "%s"\noutput = "/dev/null"\n' "$(tile_url $((i % columns)) $((i / columns)))"
    done >"$work/cold.urls"
    begin=$(date +%s.%N)
    curl -s --parallel --parallel-max "$cold_connections" -w '%{http_code} %{time_total}\n' \
        -K "$work/cold.urls" >"$work/cold" 2>"$work/progress" || true
    row_of_times "$name" "$work/cold" "$(seconds_since "$begin")"
}

command -v curl >/dev/null 2>&1 || fail "curl is missing: apt-get install curl (Debian's name)"
look
hot=$(tile_url $((columns / 2)) $((rows / 2)))
say "$slide: $columns x $rows tiles on level $level; the hot tile is $hot"
row test requests requests/s P50 P99 errors
# First, since what follows asks for a tile of the same level.
cold_run
curl_loop
apache_bench
wrk_run
cat "$work/table"
