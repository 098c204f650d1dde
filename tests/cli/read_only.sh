#!/usr/bin/env bash
# Readers who may read results.db and nothing else: also when a scheduler was killed and left the last commits in the log,
# whose index they cannot make.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
other=()
if [ "$(id -u)" -eq 0 ]; then # root may write anywhere
	command -v setpriv >/dev/null || skip "setpriv is not installed, and root may write anywhere"
	other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
"${other[@]}" test -x "$SWEEP" || skip "another user may not run $SWEEP"
write_sweep grid.yaml
export TMPDIR=/tmp
# as_reader COMMAND...: by somebody who can change nothing here
as_reader() {
	chmod 755 "$WORK"
	chmod a-w . results.db*
	run "${other[@]}" "$@"
	chmod u+w . results.db*
}

FAKE_MS=60 run_behind "$SWEEP" run grid.yaml --jobs 2
some_done() { [ "$(query "SELECT count(*) > 0 FROM runs WHERE status = 'done'")" = 1 ]; }
wait_for some_done
kill -KILL "$PID"
collect 2>/dev/null
wait_for no_workers
cp results.db-wal log
check [ -s log ]
rm -f results.db-shm
done_now=$(cp results.db copy.db && cp log copy.db-wal && sqlite3 copy.db "SELECT count(*) FROM runs WHERE status = 'done'")
rm -f results.db-shm
as_reader "$SWEEP" report --format csv --top 0
expect_status 0
check [ "$(grep -c ',done,' <<<"$OUT")" -eq "$done_now" ]
check cmp results.db-wal log
check [ -z "$(find /tmp -maxdepth 1 -name 'sweep-read.*' -newer grid.yaml)" ]

# all of it is in the file: nothing is copied, nothing left
run "$SWEEP" run grid.yaml --quiet
expect_status 0
for command in "report" "show 1" "status" "compare 1 2"; do
	# shellcheck disable=SC2086
	as_reader "$SWEEP" $command
	expect_status 0
done
check [ "$(find . -maxdepth 1 -name 'results.db-*' | wc -l)" -eq 0 ]
finish
