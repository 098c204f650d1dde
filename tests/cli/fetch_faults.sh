#!/usr/bin/env bash
# A Hub that breaks off, stalls, lies, is overloaded or gone: `sweep fetch` ends with the right bytes or one sentence.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/hub_lib.sh"

SIZE=$(stat -c %s "$DEMO/model.safetensors")
SHA=$(sha256sum <"$DEMO/model.safetensors" | cut -d' ' -f1)
BLOB="$HF_HOME/hub/models--m/blobs/$SHA"
hub_start --repo m="$DEMO"
export HF_HUB_DOWNLOAD_TIMEOUT=2 HF_HUB_ETAG_TIMEOUT=2
good() { expect_status 0; check cmp "$OUT/model.safetensors" "$DEMO/model.safetensors"; check [ ! -e "$BLOB.incomplete" ]; }
# failed NEEDLE: not the user's mistake: status 1, the last line is the sentence
failed() {
	expect_status 1; expect_err "$1"
	check [ "$(printf '%s\n' "$ERR" | tail -n 1 | cut -c1-7)" = "sweep: " ]
	check [ ! -e "$BLOB" ]; check [ ! -e "$HF_HOME/hub/models--m/refs/main" ]
}

# broken off three times: each time resumed where it stopped
fresh '[{"method": "GET", "path": "cdn", "do": "break", "bytes": 1500000, "times": 3}]'
run "$SWEEP" fetch m
good; expect_err "trying again in 0.5 s"
check [ "$(asked GET cdn)" -eq 4 ]
check [ "$(grep -c '"range": "bytes=' hub/requests)" -eq 6 ] # at the Hub and at the CDN
check grep -q '"range": "bytes=1500000-"' hub/requests

# an earlier process left a part; it is not fetched again
fresh
mkdir -p "$(dirname "$BLOB")" && head -c 4000000 "$DEMO/model.safetensors" >"$BLOB.incomplete"
run "$SWEEP" fetch m
good; check grep -q '"range": "bytes=4000000-"' hub/requests; expect_err "resumed at 4.0 MB"
# ... a part that is whole already, one of another file, one that is too long
fresh; mkdir -p "$(dirname "$BLOB")"; cp "$DEMO/model.safetensors" "$BLOB.incomplete"
run "$SWEEP" fetch m; good; check [ "$(asked GET cdn)" -eq 0 ]
fresh; mkdir -p "$(dirname "$BLOB")"; head -c 4000000 /dev/zero >"$BLOB.incomplete"
run "$SWEEP" fetch m; good; expect_err "once more from the start"; check [ "$(asked GET cdn)" -eq 2 ]
fresh; mkdir -p "$(dirname "$BLOB")"; head -c $((SIZE + 5)) /dev/zero >"$BLOB.incomplete"
run "$SWEEP" fetch m; good; check [ "$(asked GET cdn)" -eq 1 ]
# ... and servers that know no ranges, or get them wrong
for do in norange badrange; do
	fresh '[{"method": "GET", "path": "cdn", "do": "'$do'"}]'
	mkdir -p "$(dirname "$BLOB")" && head -c 4000000 "$DEMO/model.safetensors" >"$BLOB.incomplete"
	run "$SWEEP" fetch m; good
	case $do in # no need to begin again where the server has begun again by itself
	norange) check [ "$(asked GET cdn)" -eq 1 ] ;;
	badrange) check [ "$(asked GET cdn)" -eq 2 ]; expect_err "other bytes than it announced" ;;
	esac
done

# killed in the middle: the next one goes on
fresh '[{"method": "GET", "path": "cdn", "do": "slow", "rate": 2000000}]'
run timeout -s KILL 1.5 "$SWEEP" fetch m
check [ -s "$BLOB.incomplete" ]; check [ ! -e "$BLOB" ]
left=$(stat -c %s "$BLOB.incomplete"); rules '[]'
run "$SWEEP" fetch m
good; check grep -q "\"range\": \"bytes=$left-\"" hub/requests
# Ctrl-C: 130, one sentence, and the part stays
fresh '[{"method": "GET", "path": "cdn", "do": "slow", "rate": 2000000}]'
run timeout --foreground --preserve-status -s INT 1.5 "$SWEEP" fetch m
expect_status 130; expect_err "interrupted; the same command goes on"
check [ -s "$BLOB.incomplete" ]; check [ "$(stat -c %s "$BLOB.incomplete")" -lt $((SIZE * 9 / 10)) ]

# a stall is noticed after HF_HUB_DOWNLOAD_TIMEOUT seconds; before the body and at a HEAD too
fresh '[{"method": "GET", "path": "cdn", "do": "stall", "bytes": 1000000, "seconds": 30, "times": 1}]'
run "$SWEEP" fetch m
good; expect_err "no byte came from the server for 2 seconds"; check grep -q '"range": "bytes=1000000-"' hub/requests

# 429 and 503: as long as Retry-After says; a 5xx without it is tried again as well
fresh '[{"path": "config.json", "do": "status", "status": 429, "headers": {"Retry-After": "0"}, "times": 1},
        {"path": "cdn", "do": "status", "status": 503, "headers": {"Retry-After": "1"}, "times": 1},
        {"path": "vocab.json", "do": "status", "status": 500, "times": 1}]'
run "$SWEEP" fetch m
good; expect_err "429 (too many requests); trying again in 0.0 s"; expect_err "503 (it is down or overloaded); trying again in 1.0 s"
fresh '[{"method": "GET", "path": "cdn", "do": "status", "status": 503, "headers": {"Retry-After": "0"}}]'
run "$SWEEP" fetch m
failed "the server answers 503"; check [ "$(asked GET cdn)" -eq 5 ]
fresh '[{"method": "HEAD", "path": "config", "do": "status", "status": 429, "headers": {"Retry-After": "3600"}}]'
run "$SWEEP" fetch m
failed "asks us to come back in 3600 seconds"; check [ "$(wc -l <hub/requests)" -eq 1 ]

# lies: wrong bytes, fewer, more, another hash, another size. Thrown away, tried once more, then a sentence
fresh '[{"method": "GET", "path": "cdn", "do": "corrupt", "times": 1}]'
run "$SWEEP" fetch m
good; expect_err "the SHA-256 of what came is"; check [ "$(asked GET cdn)" -eq 2 ]
fresh '[{"method": "GET", "path": "cdn", "do": "corrupt"}]'
run "$SWEEP" fetch m
failed "twice, so nothing of it was kept"; check [ "$(asked GET cdn)" -eq 2 ]; check [ ! -e "$BLOB.incomplete" ]
fresh '[{"method": "GET", "path": "merges.txt", "do": "corrupt"}]'
run "$SWEEP" fetch m; failed "merges.txt: the git SHA-1 of what came is"
fresh '[{"method": "GET", "path": "cdn", "do": "short", "bytes": 5000}]'
run "$SWEEP" fetch m
failed "the server announced $SIZE bytes and sent 5000"; check [ ! -e "$BLOB.incomplete" ]
fresh '[{"method": "GET", "path": "cdn", "do": "long", "bytes": 5}]'
run "$SWEEP" fetch m; failed "other bytes than it announced"
fresh '[{"method": "HEAD", "path": "safetensors", "do": "header", "headers": {"X-Linked-Size": "'$((SIZE + 9))'"}}]'
run "$SWEEP" fetch m; failed "announced $((SIZE + 9)) bytes and sent $SIZE"
fresh '[{"method": "HEAD", "path": "safetensors", "do": "header", "headers": {"X-Linked-Etag": "\"../../../../evil\""}}]'
run "$SWEEP" fetch m; failed "announces no hash (its ETag is"
fresh '[{"method": "HEAD", "path": "config", "do": "header", "headers": {"X-Repo-Commit": "../../evil"}}]'
run "$SWEEP" fetch m; failed "names no commit"
fresh '[{"method": "HEAD", "path": "config", "do": "header", "headers": {"X-Repo-Commit": null}}]'
run "$SWEEP" fetch m; failed "names no commit"
check [ -z "$(find "$WORK" -name '*evil*')" ]

# redirects in a circle, to nonsense, and to a dead host
fresh '[{"method": "GET", "path": "cdn", "do": "redirect", "location": "http://localhost:{port}/cdn/again"}]'
run "$SWEEP" fetch m; failed "redirects in a circle"; check [ "$(asked GET cdn)" -le 11 ]
fresh '[{"method": "GET", "path": "cdn", "do": "redirect", "location": "file:///etc/passwd"}]'
run "$SWEEP" fetch m; failed "which is no address on the web"

# no room: found out before the transfer, and in the middle of it (/dev/full stands for the disk)
fresh '[{"method": "HEAD", "path": "safetensors", "do": "header", "headers": {"X-Linked-Size": "900000000000000000"}}]'
run "$SWEEP" fetch m; failed "no room on the disk: model.safetensors needs"; check [ "$(asked GET cdn)" -eq 0 ]
if [ -c /dev/full ]; then
	fresh; mkdir -p "$(dirname "$BLOB")" && ln -s /dev/full "$BLOB.incomplete"
	run "$SWEEP" fetch m; failed "the disk is full: model.safetensors has 0 of $SIZE bytes"
fi

# the network goes away: the complete copy serves, with a word about it; without one, a sentence
fresh
run "$SWEEP" fetch m; good
HELD=$OUT
rules '[{"do": "status", "status": 503, "headers": {"Retry-After": "0"}}]'
run "$SWEEP" fetch m
expect_status 0; expect_err 'the copy of `m` in the cache is used'; check [ "$OUT" = "$HELD" ]
hub_stop
run "$SWEEP" fetch m
expect_status 0; expect_err 'no connection'; check [ "$OUT" = "$HELD" ]
rm -rf "$HF_HOME"
run "$SWEEP" fetch m
failed "no connection"; expect_err "check the network"
finish
