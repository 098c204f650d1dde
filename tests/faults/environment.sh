#!/usr/bin/env bash
# The machine's faults: no runner, no room, no right to write, two schedulers, nobody who reads.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml
real_runner=$SWEEP_RUNNER

# an executable that is missing, or is none
SWEEP_RUNNER="$WORK/nothing" run "$SWEEP" run grid.yaml
refused "$WORK/nothing"
printf 'not a program' >broken-runner
chmod +x broken-runner
SWEEP_RUNNER="$WORK/broken-runner" run "$SWEEP" run grid.yaml
refused "broken-runner"
expect_query 0 "SELECT count(*) FROM sweeps"
export SWEEP_RUNNER=$real_runner

# two schedulers on one database: the second is refused with the first one's pid, the first is not disturbed
export FAKE_MS=30
run_behind "$SWEEP" run grid.yaml --jobs 2
first=$PID
wait_for [ -s made.log ]
run "$SWEEP" run grid.yaml
refused "$first"
cat results.db >/dev/null
collect
expect_status 0
expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
export FAKE_MS=0
rm -rf results.* made.log

# standard output closed, standard error closed, both, all three; a reader that goes away
run bash -c '"$SWEEP" run grid.yaml --quiet >&-'
expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
check [ "$STATUS" -ne 139 ]
rm -rf results.* made.log
run bash -c '"$SWEEP" run grid.yaml <&- >&- 2>&-'
expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
expect_query ok "PRAGMA integrity_check"
rm -rf results.* made.log
run bash -c '{ "$SWEEP" run grid.yaml 2>&1; echo "status $?" >&3; } 3>status.txt | head -n 1'
expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
rm -rf results.* made.log

# a worker that finds no room: everything stops with one sentence, and what was finished is kept
run "$SWEEP" run grid.yaml --set num_virtual_tokens=10 --quiet
expect_status 0
FAKE_RULES="decode:full:9" run "$SWEEP" run grid.yaml --quiet
expect_status 2
expect_err "No space left on device"
expect_err "finished work is kept"
kept=$(query "SELECT count(*) FROM runs WHERE status = 'done'")
check [ "$kept" -eq 12 ]
run "$SWEEP" run grid.yaml --quiet
expect_status 0
check [ -z "$(made_twice)" ]
rm -rf results.* made.log

# a file size limit is no room either, and no death by SIGXFSZ
for limit in 60 200; do
	rm -rf results.* made.log
	run bash -c "ulimit -f $limit; exec \"\$SWEEP\" run grid.yaml --quiet"
	expect_status 2
	case "$ERR" in *"no room on the disk"* | *"File too large"*) CHECKS=$((CHECKS + 1)) ;; *) fail "expected a sentence about room" ;; esac
done
run "$SWEEP" run grid.yaml --quiet
expect_status 0
expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
check [ -z "$(made_twice)" ]
rm -rf results.* made.log

# a disk that really fills: a small tmpfs
if [ "$(id -u)" -ne 0 ] || ! { mkdir disk && mount -t tmpfs -o size=1m,mode=777 none disk 2>/dev/null; }; then
	echo "skipped: the full disk and the read-only one need root and mount(2)"
	finish
fi
trap 'umount "$WORK/disk" 2>/dev/null; rm -rf "$WORK"' EXIT
RUN_LIMIT=60 run "$SWEEP" run grid.yaml --db disk/results.db
expect_status 2
case "$ERR" in *"no room on the disk"* | *"No space left"*) CHECKS=$((CHECKS + 1)) ;; *) fail "expected a sentence about room" ;; esac
check [ "$(sqlite3 disk/results.db 'PRAGMA integrity_check')" = ok ]
mount -o remount,size=64m disk
run "$SWEEP" run grid.yaml --db disk/results.db
expect_status 0
check [ "$(sqlite3 disk/results.db "SELECT count(*) FROM leaderboard WHERE status = 'done'")" = 36 ]
check [ -z "$(made_twice)" ]

# an artifacts folder that is read-only while the database is not: the first worker's sentence stops the sweep
mkdir -p disk/artifacts rest/jobs rest/logs
ln -s "$WORK/rest/jobs" "$WORK/rest/logs" disk/artifacts/
ln -s disk/artifacts results.artifacts
mount -o remount,ro disk
run "$SWEEP" run grid.yaml --jobs 1
expect_status 2
expect_err "Read-only file system; finished work is kept"
check [ "$(printf '%s\n' "$ERR" | grep -c 'Read-only')" -le 2 ]
expect_query 0 "SELECT count(*) FROM runs WHERE status = 'failed'"
mount -o remount,rw disk
run "$SWEEP" run grid.yaml
expect_status 0
rm -rf results.*

# read-only
mount -o remount,ro disk
run "$SWEEP" run grid.yaml --db disk/results.db --set 'num_beams=9'
refused "disk/results.db"
umount disk
finish
