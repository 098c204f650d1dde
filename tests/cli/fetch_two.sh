#!/usr/bin/env bash
# Several processes fetch the same model at once: each file crosses the wire once, and all end with the same folder.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/hub_lib.sh"

hub_start --repo m="$DEMO"
fresh '[{"method": "GET", "path": "cdn", "do": "slow", "rate": 8000000}]'
for i in 1 2 3 4; do
	timeout 60 "$SWEEP" fetch m >"out.$i" 2>"err.$i" &
	pids="${pids:-} $!"
done
for pid in $pids; do
	check wait "$pid"
done
for i in 1 2 3 4; do
	check cmp out.1 "out.$i"
	check [ "$(wc -l <"out.$i")" -eq 1 ]
done
check cmp "$(cat out.1)/model.safetensors" "$DEMO/model.safetensors"
check [ "$(asked GET cdn)" -eq 1 ]
check [ "$(grep -l 'another process is fetching model.safetensors; waiting' err.* | wc -l)" -eq 3 ]
check [ -z "$(find "$HF_HOME" -name '*.incomplete' -o -name '*.tmp.*')" ]

# the one that fetches is killed: the one that waits takes over and goes on where it stopped
fresh '[{"method": "GET", "path": "cdn", "do": "slow", "rate": 2000000, "times": 1}]'
"$SWEEP" fetch m >/dev/null 2>&1 &
first=$!
for _ in $(seq 100); do
	[ -n "$(find "$HF_HOME" -name '*.incomplete' -size +200k 2>/dev/null)" ] && break
	sleep 0.05
done
timeout 60 "$SWEEP" fetch m >out.5 2>err.5 &
second=$!
for _ in $(seq 100); do
	grep -q 'another process' err.5 && break
	sleep 0.05
done
kill -KILL "$first"
wait "$first" 2>/dev/null
check wait "$second"
check cmp "$(cat out.5)/model.safetensors" "$DEMO/model.safetensors"
check grep -q 'resumed at' err.5
finish
