#!/usr/bin/env bash
# sweep show RUN --log: what workers said, from the file that was kept, else the end of it that the database has.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml

# one search fails and says nothing on standard error
FAKE_RULES="decode,num_virtual_tokens=5:refuse:9" run "$SWEEP" run grid.yaml --set num_beams=3 --set max_new_tokens=20 --set temperature=0.2
expect_status 1
failed=$(query "SELECT id FROM runs WHERE status = 'failed'")
key=$(query "SELECT substr(key, 1, 16) FROM jobs WHERE state = 'failed' AND kind = 'decode' LIMIT 1")
run "$SWEEP" show "$failed"
expect_status 0; expect_out "failed"

# nothing said
run "$SWEEP" show "$failed" --log
expect_status 0; expect_no_err
expect_out "run $failed of grid: failed"
expect_out "train 5 virtual tokens, attempt 1: done, 20"
expect_out "it said nothing"

# a kept file is shown, cleaned of what a terminal would obey, and named
log=results.artifacts/logs/$key.1.log
printf 'first line\nred \033[31mline\nno end' >"$log"
run "$SWEEP" show "$failed" --log
expect_status 0; expect_out "from $WORK/$log"; expect_out "first line"; expect_out "no end"
case "$OUT" in *$'\033[31m'*) fail "an escape sequence of a log reached the terminal" ;; esac
# an attempt that counted from 1 again appended to the same file: told once
sqlite3 results.db "INSERT INTO attempts(job_id, attempt, worker, threads, pid, started_at, outcome)
	SELECT job_id, attempt, worker, threads, pid, started_at, 'failed' FROM attempts WHERE outcome = 'failed' LIMIT 1"
run "$SWEEP" show "$failed" --log
expect_out "in $WORK/$log, with a later attempt's, below"
check test "$(grep -c 'first line' <<<"$OUT")" -eq 1
# without the file, the tail that the database keeps
rm "$log"
sqlite3 results.db "UPDATE attempts SET log_tail = 'the last words'"
run "$SWEEP" show "$failed" --log
expect_status 0; expect_out "its end, from the database: the file is not there"; expect_out "the last words"

# a run that nobody has worked at
sqlite3 results.db "UPDATE artifacts SET job_id = NULL"
run "$SWEEP" show "$failed" --log
expect_status 0; expect_out "no attempt of it is recorded"

run "$SWEEP" show 1 --log --split dev; refused "--log shows no outputs"
run "$SWEEP" show --log;               refused "show takes one run's number"
run "$SWEEP" show 99 --log;            refused "there is no run 99"
run "$SWEEP" show 1 --lag;             refused "did you mean --log?"
finish
