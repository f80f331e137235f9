#!/usr/bin/env bash
# The built server beside nginx (the same tiles as files) and iipsrv (a pyramid of JPEG tiles, decoded and encoded), by
# wrk, random tiles of level 0, clients and servers on this machine. Prints one table with ratios.
#
#   cargo build --release && benches/serve.sh [SOURCE]      SOURCE for microtome ingest: synthetic:12288x9216
#
# Needs wrk and nginx; iipsrv's rows need iipimage-server and libvips-tools as well (Debian's names; installed here if it
# can be). DURATION (5s) is how long each row is measured, ROUNDS (3) how often: the middle one of each is printed.
set -euo pipefail
cd "$(dirname "$0")/.."

source=${1:-synthetic:12288x9216}
duration=${DURATION:-5s}
rounds=${ROUNDS:-3}
work=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

say() { echo "serve: $*" >&2; }

# Installs what is missing, where that is possible.
want() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || [ -x "$1" ] && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 || true
    fi
    command -v "$1" >/dev/null 2>&1 || [ -x "$1" ] || { say "$1 is missing: apt-get install $2"; return 1; }
}

background() { "$@" >>"$work/log" 2>&1 & started+=($!); }

# wrk's figures of one round: requests/s, P50 and P99 in ms, answers that were no 200.
round() { # CONNECTIONS URL KIND PATH_PREFIX PATH_SUFFIX
    wrk -t1 -c"$1" -d"$duration" --latency -s "$work/requests.lua" "$2" -- "$3" "$4" "$5" | awk '
        function ms(time) { return time ~ /us$/ ? time / 1000 : time ~ /ms$/ ? time + 0 : 1000 * time }
        /^ +50%/ { p50 = ms($2) } /^ +99%/ { p99 = ms($2) } /^Requests\/sec/ { rate = $2 }
        /Non-2xx/ { errors = $NF }
        END { printf "%.0f %.3f %.3f %d\n", rate, p50, p99, errors }'
}

# The middle round of several, by rate.
measure() { # NAME CONNECTIONS URL KIND PATH_PREFIX PATH_SUFFIX
    local name=$1
    shift
    for _ in $(seq "$rounds"); do round "$@"; done | sort -n | sed -n "$(((rounds + 1) / 2))p" >"$work/$name"
}

row() { # WHAT OURS THEIRS NAME_OF_THEIRS
    [ -s "$work/$3" ] || return 0
    awk -v what="$1" -v name="$4" 'NR == 1 { rate = $1; p50 = $2; p99 = $3; bad = $4 } NR == 2 {
        printf "%-22s %9d/s %8.3f %8.3f   %-7s %9d/s %8.3f %8.3f   %5.2fx %6.2fx %6.2fx %s\n",
            what, rate, p50, p99, name, $1, $2, $3, rate / $1, p50 / $2, p99 / $3, bad + $4 ? bad + $4 " errors" : "" }' \
        "$work/$2" "$work/$3"
}

microtome=target/release/microtome
[ -x "$microtome" ] || { say "cargo build --release first"; exit 1; }
want wrk wrk && want nginx nginx-light || exit 1

say "making a slide of $source"
mkdir "$work/slides"
"$microtome" ingest "$source" -o "$work/slides/slide.mtm" >/dev/null
"$microtome" export "$work/slides/slide.mtm" -o "$work/www.dzi" >/dev/null
level=$(ls "$work/www_files" | sort -n | tail -n 1)
tiles=$work/www_files/$level
extension=$(ls "$tiles" | sed -n '1s/.*\.//p')
columns=$(($(ls "$tiles" | cut -d_ -f1 | sort -n | tail -n 1) + 1))
rows=$(($(ls "$tiles" | sed 's/.*_//; s/\..*//' | sort -n | tail -n 1) + 1))

# Requests at random: tiles of level 0; of these the inner ones, by Deep Zoom and by IIIF; regions of 1024 px at half size.
cat >"$work/requests.lua" <<LUA
function init(args) kind, prefix, suffix = args[1], args[2], args[3] end
function request()
    local inner = kind == "tile" and 1 or kind == "region" and 5 or 2
    local x, y = math.random(0, $columns - inner), math.random(0, $rows - inner)
    local what
    if kind == "tile" or kind == "inner" then what = x .. "_" .. y
    elseif kind == "iiif" then what = x * 256 .. "," .. y * 256 .. ",256,256/256,256"
    else what = x * 256 + math.random(0, 255) .. "," .. y * 256 + math.random(0, 255) .. ",1024,1024/512," end
    return wrk.format("GET", prefix .. what .. suffix)
end
LUA

cat >"$work/nginx.conf" <<NGINX
worker_processes auto; daemon off; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 4096; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=100000;
    types { image/jpeg jpeg jpg; }
    client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
    upstream iipsrv { server 127.0.0.1:18091; server 127.0.0.1:18092; }
    upstream caching { server 127.0.0.1:18093; server 127.0.0.1:18094; }
    server {
        listen 127.0.0.1:18081; root $work;
        location /caching { fastcgi_pass caching; fastcgi_param QUERY_STRING \$query_string; fastcgi_param REQUEST_METHOD GET; }
        location /iip { fastcgi_pass iipsrv; fastcgi_param QUERY_STRING \$query_string; fastcgi_param REQUEST_METHOD GET; }
    }
}
NGINX
[ "$(id -u)" != 0 ] || { sed -i '1i user root;' "$work/nginx.conf"; }
background nginx -c "$work/nginx.conf"
background "$microtome" --slides-root "$work/slides" --port 18080
background "$microtome" --slides-root "$work/slides" --port 18082 --cache-mb 0

iipsrv=/usr/lib/iipimage-server/iipsrv.fcgi
if want "$iipsrv" iipimage-server && want vips libvips-tools; then
    say "making a pyramid for iipsrv"
    # One argument holds all names: short ones.
    names=$(for y in $(seq 0 $((rows - 1))); do for x in $(seq 0 $((columns - 1))); do echo "${x}_$y.$extension"; done; done)
    (cd "$tiles" && vips arrayjoin "$(tr '\n' ' ' <<<"$names")" "$work/joined.v" --across "$columns")
    vips tiffsave "$work/joined.v" "$work/slide.tif" --tile --pyramid --tile-width 256 --tile-height 256 --compression jpeg --Q 80
    rm "$work/joined.v"
    for port in 18091 18092; do
        FILESYSTEM_PREFIX=$work/ JPEG_QUALITY=80 MAX_IMAGE_CACHE_SIZE=0 VERBOSITY=0 LOGFILE=/dev/null \
            background "$iipsrv" --bind "127.0.0.1:$port"
    done
    # With its own default of a cache, for regions.
    for port in 18093 18094; do
        FILESYSTEM_PREFIX=$work/ JPEG_QUALITY=85 VERBOSITY=0 LOGFILE=/dev/null background "$iipsrv" --bind "127.0.0.1:$port"
    done
fi
sleep 2

hot=(tile /tiles/slide/"$level"/ .jpg)
files=(tile /www_files/"$level"/ ".$extension")
pyramid=(tile "/iip?DeepZoom=slide.tif_files/$level/" .jpg)
inner=(inner /tiles/slide/"$level"/ .jpg)
aligned=(iiif /iiif/3/slide/ /0/default.jpg)
region=(region /iiif/2/slide/ /0/default.jpg)
their_region=(region "/caching?IIIF=slide.tif/" /0/default.jpg)
their_cold_region=(region "/iip?IIIF=slide.tif/" /0/default.jpg)
say "measuring, $rounds rounds of $duration for each row"
measure warm 8 http://127.0.0.1:18080 "${hot[@]}"
for connections in 64 1; do
    measure "hot$connections" "$connections" http://127.0.0.1:18080 "${hot[@]}"
    measure "files$connections" "$connections" http://127.0.0.1:18081 "${files[@]}"
done
for connections in 8 1; do
    measure "cold$connections" "$connections" http://127.0.0.1:18082 "${hot[@]}"
    [ ! -e "$work/slide.tif" ] || measure "iipsrv$connections" "$connections" http://127.0.0.1:18081 "${pyramid[@]}"
done

for connections in 64 1; do
    measure "iiif$connections" "$connections" http://127.0.0.1:18080 "${aligned[@]}"
    measure "tiles$connections" "$connections" http://127.0.0.1:18080 "${inner[@]}"
done
for connections in 8 1; do
    measure "region$connections" "$connections" http://127.0.0.1:18080 "${region[@]}"
    [ ! -e "$work/slide.tif" ] || measure "theirs$connections" "$connections" http://127.0.0.1:18081 "${their_region[@]}"
done
measure cold_region8 8 http://127.0.0.1:18082 "${region[@]}"
[ ! -e "$work/slide.tif" ] || measure cold_theirs8 8 http://127.0.0.1:18081 "${their_cold_region[@]}"

printf '%-22s %11s %8s %8s   %-7s %11s %8s %8s   %6s %7s %7s\n' "" microtome P50/ms P99/ms beside "" P50/ms P99/ms rate P50 P99
row "hot, 64 connections" hot64 files64 nginx
row "hot, 1 connection" hot1 files1 nginx
row "cold, 8 connections" cold8 iipsrv8 iipsrv
row "cold, 1 connection" cold1 iipsrv1 iipsrv
row "IIIF tile, 64 conn." iiif64 tiles64 /tiles
row "IIIF tile, 1 conn." iiif1 tiles1 /tiles
row "1024 px by 2, 8 conn." region8 theirs8 iipsrv
row "1024 px by 2, 1 conn." region1 theirs1 iipsrv
row "the same, no caches, 8" cold_region8 cold_theirs8 iipsrv
[ -e "$work/slide.tif" ] || awk '{ printf "cold, 8 connections: %d/s, P50 %s ms, P99 %s ms\n", $1, $2, $3 }' "$work/cold8"
