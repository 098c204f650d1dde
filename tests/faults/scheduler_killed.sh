#!/usr/bin/env bash
# The scheduler is killed with -9, five times at random moments: the same command finishes, and repeats nothing that
# was finished. Its workers die with it.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml
FAKE_MS=40
RANDOM=${SEED:-$$}
echo "random seed $RANDOM"
killed=0
for i in 1 2 3 4 5; do
	run_behind "$SWEEP" run grid.yaml --jobs 2
	sleep "0.$((RANDOM % 6 + 1))$((RANDOM % 10))"
	kill -9 "$PID" 2>/dev/null && killed=$((killed + 1))
	collect 2>/dev/null
	check wait_for no_workers
	CHECKS=$((CHECKS + 1))
	[ -f results.db ] && [ "$(query 'PRAGMA integrity_check')" != ok ] && fail "the database is damaged"
done
CHECKS=$((CHECKS + 1))
[ "$killed" -ge 3 ] || fail "only $killed of 5 kills met a running scheduler"
run "$SWEEP" run grid.yaml --jobs 2
expect_status 0
expect_out "all 36 runs are done"
expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done' AND dev_bleu IS NOT NULL AND small_bleu IS NOT NULL"
expect_query 75 "SELECT count(*) FROM artifacts WHERE state = 'done'"
CHECKS=$((CHECKS + 1))
[ -z "$(made_twice)" ] || fail "made twice: $(made_twice | head -n 3)"
# a worker may die between an artifact and its line in the log: at most 75 lines
all=$(made)
CHECKS=$((CHECKS + 1))
[ "$all" -le 75 ] && [ "$all" -ge 65 ] || fail "expected 75 artifacts made, found $all"
expect_query 0 "SELECT count(*) FROM attempts WHERE outcome = 'running'"
# nothing is left to do, and that takes no time
run "$SWEEP" run grid.yaml
expect_status 0
expect_out "all 36 runs are done"
check [ "$(made)" -eq "$all" ]
finish
