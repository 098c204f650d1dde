#!/usr/bin/env bash
# `sweep run` as a user meets it: plans without work, sharing, reuse, options, sentences.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml

# a dry run says what would be done and writes nothing
run "$SWEEP" run grid.yaml --dry-run
expect_status 0
expect_out "36"
check [ "$(ls -A | grep -v '^\.out$\|^\.err$')" = grid.yaml ]
run "$SWEEP" run grid.yaml --dry-run --explain
expect_status 0
expect_out "train 20 virtual tokens"
check [ "$(ls -A | grep -v '^\.out$\|^\.err$')" = grid.yaml ]

# the work: one line for each job, the result on stdout, everything else on stderr
run "$SWEEP" run grid.yaml
expect_status 0
jobs=$(query "SELECT count(*) FROM jobs WHERE kind <> 'check'")
check [ "$jobs" -ge 6 ]
check [ "$jobs" -le 21 ]
expect_out "grid: all 36 runs are done, $jobs jobs in"
expect_out "best dev_bleu"
expect_err "[$jobs/$jobs] done"
expect_err "SELECT * FROM leaderboard"
check [ "$(printf '%s\n' "$ERR" | grep -c "^\[ *[0-9]*/$jobs\] done")" -eq "$jobs" ]
case "$ERR$OUT" in *$'\033'*) CHECKS=$((CHECKS + 1)); fail "escape sequences without a terminal" ;; esac
check [ -z "$(made_twice)" ]
best=$(query "SELECT printf('best dev_bleu %.2f', max(dev_bleu)) FROM leaderboard")
expect_out "$best"
check [ -z "$(ls results.artifacts/jobs)$(ls results.artifacts/logs)" ]

# again: nothing to do, and no worker is started
attempts=$(query "SELECT count(*) FROM attempts")
run "$SWEEP" run grid.yaml
expect_status 0
expect_out "grid: all 36 runs are done"
expect_out "$best"
expect_query "$attempts" "SELECT count(*) FROM attempts"
check [ "$(made)" -eq 75 ]

# nothing to do needs no runner at all
SWEEP_RUNNER=/nonexistent run "$SWEEP" run grid.yaml --quiet
expect_status 0
expect_no_err

# a second sweep reuses what the first computed
run "$SWEEP" run grid.yaml --set name=wider --set "num_beams=[3, 9]"
expect_status 0
expect_out "wider: all 24 runs are done"
check [ "$(made)" -eq 99 ]
check [ -z "$(made_twice)" ]
expect_query "grid 36|wider 24" "SELECT group_concat(t, '|') FROM (SELECT s.name || ' ' || count(*) AS t FROM sweeps s JOIN runs r ON r.sweep_id = s.id WHERE r.status = 'done' GROUP BY s.id)"

# temperature without sampling collapses, and says so; --db elsewhere; --jobs and --threads
run "$SWEEP" run grid.yaml --set do_sample=false --set num_virtual_tokens=0 --db sub.db --jobs 1 --threads 1
expect_status 0
expect_err "temperature"
expect_out "all 6 runs are done"
expect_err "sweep report --db sub.db"
check [ -d sub.artifacts ]
check [ "$(sqlite3 sub.db 'SELECT max(threads) FROM attempts')" = 1 ]
check [ "$(sqlite3 sub.db 'SELECT max(worker) FROM attempts')" = 0 ]

# more workers than cores: a thread each
run "$SWEEP" run grid.yaml --set num_virtual_tokens=0 --db many.db --jobs 6 --threads 2 --quiet
expect_status 0
expect_no_err
check [ "$(sqlite3 many.db 'SELECT max(threads) FROM attempts')" = 1 ]

# refusals
run "$SWEEP" run grid.yaml --jobs 0
refused "jobs"
run "$SWEEP" run grid.yaml --jobs many
refused "jobs"
run "$SWEEP" run
refused "which sweep file"
run "$SWEEP" run grid.yaml other.yaml
refused "other.yaml"
run "$SWEEP" run missing.yaml
refused "missing.yaml"
run "$SWEEP" run grid.yaml --job 2
refused "--jobs"
run "$SWEEP" run grid.yaml --set beems=3
refused "num_beams"
run "$SWEEP" run grid.yaml --db /nonexistent/folder/results.db
refused "/nonexistent/folder"
printf 'this is no database, it is a text that somebody wrote\n' >text.db
run "$SWEEP" run grid.yaml --db text.db
refused "text.db"
run "$SWEEP" run --help
expect_status 0
expect_out "--dry-run"
finish
