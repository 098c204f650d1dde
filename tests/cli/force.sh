#!/usr/bin/env bash
# sweep run --force: everything is made again, the old stays until the new is whole, and a kill in the middle costs no more
# than what was being made.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml
few=(--set num_beams=3 --set "num_virtual_tokens=[5, 10]") # 8 runs: 2 adapters, 16 hypotheses
# Inode and time of every artifact's card: an inode alone is soon used again.
folders() { find results.artifacts -path '*.fresh*' -prune -o -name artifact.json -printf '%i %T@\n' | sort; }
kept() { comm -12 <(echo "$before") <(folders) | grep -c .; } # how many are still the folders of before
running() { [ "$(query "SELECT count(*) FROM attempts WHERE outcome = 'running'")" = 1 ]; }
again() { : >"$FAKE_LOG"; }
whole() { run "$SWEEP" check; expect_status 0; expect_out "is whole: 18 artifacts"; check test -z "$(find results.artifacts -name '*.fresh*')"; }

run "$SWEEP" run grid.yaml "${few[@]}"; expect_status 0
check test "$(made)" -eq 18
before=$(folders) board=$(query "SELECT run, dev_bleu, small_bleu, status FROM leaderboard")
check test "$(kept)" -eq 18

# without it nothing is done, with it all, under the same keys and run numbers
again; run "$SWEEP" run grid.yaml "${few[@]}"; check test "$(made)" -eq 0
run "$SWEEP" run grid.yaml "${few[@]}" --force --dry-run --explain
expect_status 0; expect_out "what is there is made again"
check test "$(kept)" -eq 18
again; run "$SWEEP" run grid.yaml "${few[@]}" --force
expect_status 0; expect_out "all 8 runs are done"
check test "$(made)" -eq 18; check test -z "$(made_twice)"; check test "$(kept)" -eq 0
check test "$(query "SELECT run, dev_bleu, small_bleu, status FROM leaderboard")" = "$board"
whole
again; run "$SWEEP" run grid.yaml "${few[@]}"; expect_status 0; check test "$(made)" -eq 0
# on a new database it is like any other run
again; run "$SWEEP" run grid.yaml "${few[@]}" --db new.db --force
expect_status 0; check test "$(made)" -eq 18

# stopped by kill -9 while an adapter is being made: what was made before is new, everything else as it was and in use
before=$(folders); again; export FAKE_GATE=$WORK/gate
FAKE_RULES="train,num_virtual_tokens=5:wait:9" run_behind "$SWEEP" run grid.yaml "${few[@]}" --force --jobs 1
wait_for eval '[ -n "$(query "SELECT 1 FROM attempts t JOIN jobs j ON j.id = t.job_id WHERE outcome = '"'running' AND title LIKE 'train 5 %'"'")" ]'
kill -9 "$PID"; collect; wait_for no_workers
made=$(made) left=$((18 - made))
check test "$made" -gt 0
check test "$(kept)" -eq "$left"
check test "$(folders | wc -l)" -eq 18
# the same command goes on, and so does one without --force; together they make each once
run "$SWEEP" run grid.yaml "${few[@]}" --force --dry-run
expect_err "what --force began goes on"
run "$SWEEP" run grid.yaml "${few[@]}"
expect_status 0; check test "$(made)" -eq 18; check test -z "$(made_twice)"; check test "$(kept)" -eq 0
check test "$(query "SELECT run, dev_bleu, small_bleu, status FROM leaderboard")" = "$board"
whole

# killed again and again, given again with --force each time: it comes to its end, nothing is made more than once
before=$(folders); again
for n in 3 7 11 15; do
	FAKE_MS=30 run_behind "$SWEEP" run grid.yaml "${few[@]}" --force --jobs 1
	wait_for eval "[ \$(made) -ge $n ]"
	kill -9 "$PID"; collect; wait_for no_workers
done
run "$SWEEP" run grid.yaml "${few[@]}" --force
expect_status 0; check test "$(kept)" -eq 0; check test -z "$(made_twice)"
whole

# what a kill left between the worker's end and ours: the new one, not in its place yet, is used
before=$(folders)
adapter=$(query "SELECT key FROM artifacts WHERE kind = 'adapter' LIMIT 1")
again; FAKE_RULES="train:sleep:9" run_behind "$SWEEP" run grid.yaml "${few[@]}" --force --jobs 1
wait_for running
kill -9 "$PID"; collect; wait_for no_workers
cp -r "results.artifacts/$adapter" "results.artifacts/$adapter.fresh"
again
inode=$(stat -c %i "results.artifacts/$adapter.fresh/artifact.json")
run "$SWEEP" run grid.yaml "${few[@]}"
expect_status 0; check test "$(kept)" -eq 0; check test "$(made)" -eq 17
check test "$(stat -c %i "results.artifacts/$adapter/artifact.json")" = "$inode"
whole
# ... and one that is in its place, unrecorded
again; FAKE_RULES="train:sleep:9" run_behind "$SWEEP" run grid.yaml "${few[@]}" --force --jobs 1
wait_for running
kill -9 "$PID"; collect; wait_for no_workers
mv "results.artifacts/$adapter" "results.artifacts/$adapter.fresh"
cp -r "results.artifacts/$adapter.fresh" "results.artifacts/$adapter"
run "$SWEEP" run grid.yaml "${few[@]}"
expect_status 0; check test "$(made)" -eq 17
whole

# a job that fails leaves the old ones, which the next run takes: nothing is lost, and nothing tried for ever
before=$(folders); again
FAKE_RULES="train:refuse:9" run "$SWEEP" run grid.yaml "${few[@]}" --force
expect_status 1; expect_err "train.txt:7"
check test "$(kept)" -eq 18; check test "$(made)" -eq 0
run "$SWEEP" run grid.yaml "${few[@]}"
expect_status 0; check test "$(made)" -eq 0
whole
# a worker that makes what nobody can read: the old stays in its place
FAKE_RULES="decode:spoil:9" run "$SWEEP" run grid.yaml "${few[@]}" --force
expect_status 1
run "$SWEEP" run grid.yaml "${few[@]}"
expect_status 0; check test "$(query "SELECT run, dev_bleu, small_bleu, status FROM leaderboard")" = "$board"
# searches that fail together are tried one by one
again; FAKE_RULES="num_beams=3:kill:1" run "$SWEEP" run grid.yaml "${few[@]}" --force
expect_status 0; check test -z "$(made_twice)"
run "$SWEEP" run grid.yaml --froce; refused "did you mean --force?"
finish
