#!/usr/bin/env bash
# A Hub that means harm: it drips, floods, and names files so that a terminal obeys. `sweep fetch` gives up in a bounded
# time with one sentence, or brings the right bytes.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/hub_lib.sh"
export HF_HUB_DOWNLOAD_TIMEOUT=1 HF_HUB_ETAG_TIMEOUT=1 RUN_LIMIT=120

mkdir -p set && printf 'one\n' >"set/$(printf 'a\302\233b\342\200\256c.txt')" && head -c 4000 /dev/zero >set/big.bin
hub_start --repo m="$DEMO" --repo me/set=set
failed() { expect_status 1; expect_err "$1"; check [ ! -e "$HF_HOME/hub/models--m/refs/main" ]; }

# twenty bytes a second: each attempt brings some, and none counts (once: 200 attempts of a minute each)
fresh '[{"method": "GET", "path": "cdn", "do": "slow", "rate": 20}]'
run "$SWEEP" fetch m
failed "ess than 1024 bytes/sec"; check [ "$(asked GET cdn)" -eq 5 ]
check [ -s "$(find "$HF_HOME" -name '*.incomplete')" ] # and they stay

# headers without end, at a HEAD, at a GET, and in a list; a page of an error without end
fresh '[{"method": "HEAD", "path": "config.json", "do": "flood"}]'
run "$SWEEP" fetch m; failed "headers without end"; check [ "$(asked HEAD config.json)" -eq 5 ]
fresh '[{"method": "GET", "path": "cdn", "do": "flood", "times": 1}]'
run "$SWEEP" fetch m; expect_status 0; expect_err "headers without end"
fresh '[{"method": "GET", "path": "merges.txt", "do": "page", "status": 403}]'
run "$SWEEP" fetch m; expect_status 2; expect_err "refuses access"; check [ "$(asked GET merges.txt)" -eq 1 ]
fresh '[{"method": "GET", "path": "api", "do": "page", "status": 200}]'
run "$SWEEP" fetch me/set --dataset; expect_status 1; expect_err "other bytes than it announced"

# names with C1 control characters and turned letters reach the disk, and no terminal
fresh
run "$SWEEP" fetch me/set --dataset
expect_status 0; check [ -e "$OUT/$(printf 'a\302\233b\342\200\256c.txt')" ]
check [ -z "$(printf '%s' "$ERR" | LC_ALL=C grep -E "$(printf '\302\233|\342\200\256|\033')")" ]
finish
