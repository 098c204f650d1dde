#!/usr/bin/env bash
# Somebody who may only read looks at a database in a folder where SQLite cannot make its files. When all rows are in
# results.db, the report is there; when newer ones wait in the log of a scheduler that was killed, it is refused: an
# older state must not pass for the present one.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
as=()
if [ "$(id -u)" -eq 0 ]; then
	command -v setpriv >/dev/null || skip "setpriv is not installed, and root may write everywhere"
	as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	"${as[@]}" test -x "$SWEEP" || skip "the build is in a folder that other users cannot read"
fi
chmod 755 "$WORK"
write_sweep grid.yaml
run "$SWEEP" run grid.yaml --quiet
expect_status 0
mkdir shelf
cp results.db shelf/
chmod 644 shelf/results.db
chmod 555 shelf
run "${as[@]}" "$SWEEP" report --db "$WORK/shelf/results.db"
expect_status 0
expect_out "36 runs"
# a log with rows that are not in the database yet: the reader holds the checkpoint back while the scheduler ends
chmod 755 shelf
sqlite3 shelf/results.db "BEGIN; SELECT count(*) FROM runs; UPDATE sweeps SET name = 'newer'; COMMIT;" ".shell cp shelf/results.db-wal kept-wal" >/dev/null
check [ -s kept-wal ]
cp results.db shelf/results.db
cp kept-wal shelf/results.db-wal
rm -f shelf/results.db-shm
chmod 644 shelf/*
chmod 555 shelf
run "${as[@]}" "$SWEEP" report --db "$WORK/shelf/results.db"
expect_status 2
expect_one_sentence
chmod 755 shelf
finish
