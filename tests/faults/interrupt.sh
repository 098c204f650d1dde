#!/usr/bin/env bash
# Ctrl-C: once, and workers are asked to end; twice, and they are ended. What was finished stays, and the same command
# goes on. A worker that is deaf to SIGTERM cannot hold us, nor one that closes its events and lives.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml

some_done() { [ "$(query "SELECT count(*) FROM runs WHERE status = 'done'")" -gt 0 ]; }
FAKE_MS=60
run_behind "$SWEEP" run grid.yaml --jobs 2
wait_for some_done
kill -INT "$PID"
collect
expect_status 130
expect_err "the same command goes on from here: sweep run grid.yaml"
check no_workers
done_before=$(query "SELECT count(*) FROM runs WHERE status = 'done'")
check [ "$done_before" -ge 1 ]
check [ "$done_before" -lt 36 ]
expect_query interrupted "SELECT status FROM sweeps"
run "$SWEEP" run grid.yaml --jobs 2
expect_status 0
expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
check [ -z "$(made_twice)" ]
rm -rf results.* made.log

# SIGTERM is the same; twice is at once, although the workers are deaf
FAKE_RULES="train:hang:9"
export FAKE_RULES
run_behind "$SWEEP" run grid.yaml --jobs 2
worker_runs() { [ -n "$(query "SELECT 1 FROM attempts WHERE outcome = 'running'")" ]; }
wait_for worker_runs
sleep 0.3
kill -TERM "$PID"
sleep 0.2
kill -INT "$PID"
collect
expect_status 130
expect_err "stopping at once"
check no_workers

# once, with deaf workers: SIGKILL, but not before they had five seconds
run_behind "$SWEEP" run grid.yaml --jobs 2
wait_for worker_runs
sleep 0.3
begun=$(date +%s%N)
kill -INT "$PID"
collect
took=$((($(date +%s%N) - begun) / 1000000))
expect_status 130
check [ "$took" -gt 4000 ]
check no_workers
finish
