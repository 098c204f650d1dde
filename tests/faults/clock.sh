#!/usr/bin/env bash
# Somebody sets the clock back, again and again, while workers run: the duration of an attempt that never came to its
# last event is what passed, not the difference of two dates.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
[ -z "${SANITIZED:-}" ] || skip "a preload of our own does not go with the sanitizers'"
write_sweep grid.yaml
ln -s "$BUILD_DIR/tests/torture-preload.so" preload.so # LD_PRELOAD's list is parted by spaces
back=$(for i in $(seq 90); do printf '%s%d:%d' "${sep:-}" $((i * 3)) $((-3600 * i)) && sep=,; done)
LD_PRELOAD=./preload.so CLOCK_JUMPS="$back" FAKE_RULES="train:kill:1;decode:kill:1" FAKE_MS=5 \
	run "$SWEEP" run grid.yaml --jobs 2
expect_status 0
expect_query 0 "SELECT count(*) FROM attempts WHERE seconds IS NULL OR seconds NOT BETWEEN 0 AND 600"
check [ "$(query "SELECT count(*) FROM attempts WHERE outcome = 'retry'")" -gt 0 ]
check [ "$(query "SELECT count(*) FROM attempts WHERE ended_at < started_at")" -gt 0 ]
finish
