#!/usr/bin/env bash
# Datasets: the E2E files with their pinned hashes, and whole dataset repositories of the Hub.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/hub_lib.sh"

# a dataset repository, with a folder in it: one more `..` in its link
mkdir -p set/data && echo one >set/README.md && head -c 1500000 /dev/urandom >set/data/part.bin
hub_start --repo me/set=set --files /e2e="$WORK/e2e"
fresh
run "$SWEEP" fetch me/set --dataset
expect_status 0
ROOT="$HF_HOME/hub/datasets--me--set"
check [ "$OUT" = "$ROOT/snapshots/$(cat "$ROOT/refs/main")" ]
check cmp "$OUT/data/part.bin" set/data/part.bin; check cmp "$OUT/README.md" set/README.md
check [ "$(dirname "$(readlink "$OUT/data/part.bin")")" = ../../../blobs ]
check [ "$(asked HEAD /datasets/me/set/resolve/)" -eq 2 ]
HELD=$OUT
: >hub/requests
run env HF_HUB_OFFLINE=1 "$SWEEP" fetch me/set --dataset; expect_status 0; check [ "$OUT" = "$HELD" ]; check [ ! -s hub/requests ]
run env HF_HUB_OFFLINE=1 "$SWEEP" fetch me/other --dataset; refused 'the dataset `me/other` is not in the cache'
run "$SWEEP" fetch me/other --dataset; refused 'shows no dataset `me/other`'
run "$SWEEP" fetch me/set --dataset --revision v3; refused 'the dataset `me/set` has no revision `v3`'

# E2E: bytes with another hash are refused, whoever sends them
export SWEEP_E2E_ENDPOINT="$HF_ENDPOINT/e2e/"
mkdir -p e2e/input e2e/reference && head -c 1285680 /dev/zero >e2e/train.txt.gz
fresh
run "$SWEEP" fetch e2e
expect_status 1; expect_err "b634e6e3bf27b21d2f74d291d40d4c882f6d390c9aaf9018abded88892d1c030 was announced; twice"
check [ -z "$(find "$HF_HOME" -name 'train*' -not -name '*.lock')" ]
run env HF_HUB_OFFLINE=1 "$SWEEP" fetch e2e; refused 'the dataset `e2e` is not complete in the cache'
run "$SWEEP" fetch e2e --revision main; refused 'pinned by the hashes'
rm e2e/train.txt.gz
run "$SWEEP" fetch e2e; refused "train.txt.gz cannot be had from $HF_ENDPOINT/e2e/train.txt.gz: the server answers 404"

# the real files, where they are at hand
REAL="$SOURCE_DIR/../shared/e2e"
if [ -r "$REAL/train.txt.gz" ]; then
	cp "$REAL/train.txt.gz" e2e/; cp "$REAL/dev.txt" "$REAL/small.txt" e2e/input/; cp "$REAL/dev.out" "$REAL/small.out" e2e/reference/
	rules '[{"path": "dev.out", "do": "break", "bytes": 500000, "times": 1}]'
	run "$SWEEP" fetch e2e
	expect_status 0; check [ "$OUT" = "$HF_HOME/assets/sweep/datasets/e2e" ]; expect_err "CC BY-SA 4.0"
	for file in train.txt.gz dev.txt dev.out small.txt small.out; do check cmp "$OUT/$file" "$REAL/$file"; done
	# again: nothing is asked; an altered file is found out; offline it is there
	: >hub/requests
	run "$SWEEP" fetch e2e; expect_status 0; check [ ! -s hub/requests ]
	printf X | dd of="$OUT/dev.txt" bs=1 seek=9 conv=notrunc status=none
	run "$SWEEP" fetch e2e; expect_status 0; check cmp "$OUT/dev.txt" "$REAL/dev.txt"; check [ "$(wc -l <hub/requests)" -eq 1 ]
	run env HF_HUB_OFFLINE=1 "$SWEEP" fetch e2e; expect_status 0
	run env HF_ASSETS_CACHE="$WORK/assets" "$SWEEP" fetch e2e; expect_status 0; check [ "$OUT" = "$WORK/assets/sweep/datasets/e2e" ]
else
	echo "not checked: ../shared/e2e is missing, so the true E2E files were not served"
fi
finish
