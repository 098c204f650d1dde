#!/usr/bin/env bash
# Artifacts that are damaged after they were made, or left half made: noticed by the next `sweep run` or `sweep check`,
# and made again, each once and nothing else.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml

adapter() { query "SELECT dir FROM artifacts WHERE kind = 'adapter' ORDER BY id LIMIT 1 OFFSET ${1:-0}"; }
texts() { query "SELECT dir FROM artifacts WHERE kind = 'hypotheses' ORDER BY id LIMIT 1"; }
flip() { printf 'X' | dd of="$1" bs=1 seek=0 conv=notrunc status=none; }
# made_now N: the last command made N artifacts
made_now() { check [ "$(($(made) - before))" -eq "$1" ]; before=$(made); }

run "$SWEEP" run grid.yaml --quiet --set num_beams=3
expect_status 0
before=$(made)
run "$SWEEP" check
expect_status 0
expect_out "results.db is whole: 27 artifacts"

# a truncated adapter, which nothing waits for: it is made again all the same
dir=$(adapter)
truncate -s 5 "$dir/adapter_model.safetensors"
run "$SWEEP" check
expect_status 1
expect_out "$dir/adapter_model.safetensors has 5 bytes, it was made with 10"
made_now 0
run "$SWEEP" run grid.yaml --set num_beams=3
expect_status 0
expect_err "adapter_model.safetensors has 5 bytes"
expect_err "it is made again"
made_now 1
check [ -d "$dir.unusable" ]
run "$SWEEP" check
expect_status 0
expect_query 1 "SELECT count(*) FROM events WHERE kind = 'damaged'"

# one changed byte of an adapter that other searches need now
flip "$dir/adapter_model.safetensors"
run "$SWEEP" run grid.yaml --quiet --set num_beams=[3,5]
expect_status 0
expect_query 24 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
made_now 25
# one changed byte of the outputs, and of a card
flip "$(texts)/hypotheses.jsonl"
flip "$(adapter 1)/artifact.json"
run "$SWEEP" run grid.yaml --quiet --set num_beams=[3,5]
expect_status 0
made_now 2
# a folder that is gone: check says so; run does not make an adapter that nothing needs; --repair asks for it
rm -r "$(adapter 2)" "$(texts)"
run "$SWEEP" check
expect_status 1
expect_out "$(adapter 2) is missing"
expect_out "$(texts) is missing"
expect_out "2 damaged"
run "$SWEEP" check --repair
expect_status 1
expect_out "2 of them wait to be made again"
expect_query 1 "SELECT count(*) > 0 FROM runs WHERE status = 'pending'"
run "$SWEEP" run grid.yaml --quiet --set num_beams=[3,5]
expect_status 0
made_now 2
run "$SWEEP" check
expect_status 0

# an incomplete folder in the place of a training's: once it was kept, and what was trained thrown away
rm -rf results.* made.log
run "$SWEEP" run grid.yaml --quiet --set num_beams=3 --set num_virtual_tokens=5
key=$(basename "$(adapter)")
rm -rf results.* made.log
mkdir -p "results.artifacts/$key"
echo half >"results.artifacts/$key/adapter_model.safetensors"
run "$SWEEP" run grid.yaml --quiet --set num_beams=3 --set num_virtual_tokens=5
expect_status 0
expect_query 4 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
check [ -z "$(made_twice)" ]
run "$SWEEP" check
expect_status 0
rm -rf results.artifacts/*.unusable

# a bad database is not an artifact's fault: nothing is set aside
page=$(sqlite3 results.db "SELECT rootpage FROM sqlite_schema WHERE name = 'hypotheses'")
printf 'damage' | dd of=results.db bs=1 seek=$(((page - 1) * 4096)) conv=notrunc status=none
run "$SWEEP" run grid.yaml --quiet --set num_beams=5 --set num_virtual_tokens=5
expect_status 2
expect_err "results.db is damaged"
check [ -z "$(find results.artifacts -name '*.unusable')" ]
run "$SWEEP" check
check [ "$STATUS" -ne 0 ]
# and with a new one everything is taken over
rm results.db
run "$SWEEP" run grid.yaml --quiet --set num_beams=[3,5] --set num_virtual_tokens=5
expect_status 0
check [ -z "$(made_twice)" ]

run "$SWEEP" check extra
refused "check takes no argument"
run "$SWEEP" check --db nowhere.db --repair
refused "there is no nowhere.db"
check [ ! -e nowhere.db ]
finish
