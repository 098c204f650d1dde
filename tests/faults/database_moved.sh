#!/usr/bin/env bash
# results.db under two names, and results.db moved, deleted or replaced while a sweep runs: one scheduler, one sentence,
# exit status 1, and nothing that was finished is made again.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml

# two names, one scheduler: a link, a hard link, a database of another name with the same artifacts folder
export FAKE_MS=60
run_behind "$SWEEP" run grid.yaml --jobs 2
first=$PID
wait_for [ -s made.log ]
ln -s results.db link.db
ln results.db hard.db
run "$SWEEP" run grid.yaml --db link.db --set num_beams=3
refused "another sweep (process $first) is writing link.db"
run "$SWEEP" run grid.yaml --db hard.db --set num_beams=3
refused "is writing hard.db by another of its names"
run "$SWEEP" run grid.yaml --db results --set num_beams=3
refused "results.artifacts, which goes with this database, too"
check [ ! -e results ]
check [ ! -e hard.artifacts ]
run "$SWEEP" status --db link.db
expect_out "process $first"
collect
expect_status 0
expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
expect_query 0 "SELECT count(*) FROM attempts WHERE outcome = 'lost'"
export FAKE_MS=0
run "$SWEEP" run grid.yaml --db link.db --quiet
expect_status 0
expect_out "all 36 runs are done"
check [ -z "$(made_twice)" ]
rm -rf results.* link.* hard.* made.log

some_done() { [ "$(query "SELECT count(*) > 0 FROM artifacts WHERE state = 'done'")" = 1 ]; }
# stopped WHAT CHANGE...: the sweep is under way, CHANGE happens, and it says so
stopped() {
	local what=$1
	shift
	rm -rf results.* made.log
	FAKE_MS=60 run_behind "$SWEEP" run grid.yaml --jobs 2
	wait_for [ -s made.log ]
	wait_for some_done
	"$@"
	collect
	expect_status 1
	expect_err "$what"
	check [ "$(grep -c "while the sweep ran" <<<"$ERR")" -eq 1 ]
	wait_for no_workers
}
# goes_on: the same command does the rest, and nothing twice but what a worker had under way
goes_on() {
	run "$SWEEP" run grid.yaml --quiet
	expect_status 0
	expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
	expect_query ok "PRAGMA integrity_check"
	check [ -z "$(made_twice)" ]
	run "$SWEEP" check
	expect_status 0
}

stopped "results.db was moved while the sweep ran; what was recorded is in $WORK/away.db" mv results.db away.db
check [ ! -e results.db ]
mv away.db results.db
expect_query 1 "SELECT count(*) > 0 FROM artifacts WHERE state = 'done'"
goes_on

stopped "results.db was deleted while the sweep ran; what it held is saved as results.db.saved" rm results.db
check [ ! -e results.db ]
mv results.db.saved results.db
expect_query 1 "SELECT count(*) > 0 FROM artifacts WHERE state = 'done'"
goes_on

# without the saved one: a new database takes the artifacts over
stopped "results.db was deleted while" rm results.db
rm results.db.saved
goes_on

: >other.db
stopped "results.db was replaced by another file while" mv other.db results.db
mv results.db.saved results.db
goes_on

cut_log() { : >results.db-wal; }
stopped "results.db-wal was cut or removed while" cut_log
goes_on
stopped "results.db-wal was cut or removed while" rm results.db-wal
goes_on

# what is no file's name
run "$SWEEP" run grid.yaml --db :memory:
refused "would keep nothing"
run "$SWEEP" run grid.yaml --db file:x.db
refused "not a URI"
check [ ! -e x.db ]

# Ctrl-C while another program holds the database: it ends, long before the scheduler's patience with the lock does
rm -rf results.* made.log
FAKE_MS=60 run_behind "$SWEEP" run grid.yaml --jobs 2
wait_for [ -s made.log ]
mkfifo ask
sqlite3 results.db <ask >locked.txt &
holder=$!
exec 7>ask
printf '.timeout 5000\nBEGIN IMMEDIATE;\nSELECT 1;\n' >&7
wait_for [ -s locked.txt ]
kill -INT "$PID"
over() { ! kill -0 "$PID"; }
wait_for over
collect
check [ "$STATUS" -ne 0 ]
exec 7>&-
wait "$holder"
wait_for no_workers
goes_on
finish
