#!/usr/bin/env bash
# sweep rm and sweep gc: what nobody needs goes, nothing else; killed between rows and folders, the rest is garbage that is
# found.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml
sed 's/^name: grid/name: other/' grid.yaml >other.yaml
grid=(--set num_beams=3 --set "num_virtual_tokens=[5, 10]")        # 8 runs, 18 artifacts
other=(--set num_beams=3 --set "num_virtual_tokens=[10, 20]")      # 8 runs, 18 artifacts; 9 of them the same
folders() { find results.artifacts -maxdepth 1 -mindepth 1 -type d ! -name jobs ! -name logs | wc -l; }
again() { : >"$FAKE_LOG"; }
whole() { run "$SWEEP" check; expect_status 0; }
state() { query "SELECT (SELECT count(*) FROM sweeps) || ' ' || (SELECT count(*) FROM runs) || ' ' || (SELECT count(*) FROM artifacts) || ' ' || (SELECT count(*) FROM hypotheses) || ' ' || (SELECT count(*) FROM attempts) || ' ' || (SELECT count(*) FROM garbage)"; }

run "$SWEEP" rm grid; refused "there is no results.db"
run "$SWEEP" gc;      refused "there is no results.db"
check test ! -e results.db
run "$SWEEP" run grid.yaml "${grid[@]}";   expect_status 0
run "$SWEEP" run other.yaml "${other[@]}"; expect_status 0
check test "$(folders)" -eq 27
run "$SWEEP" gc
expect_status 0; expect_no_err; expect_out "nothing to remove"

# bad input
run "$SWEEP" rm;            refused "rm takes the name of one sweep"
run "$SWEEP" rm grid other; refused "rm takes the name of one sweep"
run "$SWEEP" rm gird;       refused 'did you mean `grid`?'
run "$SWEEP" rm 1;          refused 'no sweep `1`'
run "$SWEEP" rm grid --dryrun; refused "did you mean --dry-run?"
run "$SWEEP" gc now;        refused "gc takes no argument"
run "$SWEEP" gc --al;       refused "did you mean --all?"

# what would go, and nothing goes
before=$(state)
run "$SWEEP" rm grid --dry-run
expect_status 0; expect_no_err
expect_out "would remove grid: 8 runs, "; expect_out " 9 artifacts ("; expect_out "; kept: 9 artifacts that other sweeps use"
check test "$(state)" = "$before"; check test "$(folders)" -eq 27

# while a sweep runs: not now
FAKE_GATE=$WORK/gate FAKE_RULES="train:wait:9" run_behind "$SWEEP" run other.yaml "${other[@]}" --set num_virtual_tokens=7
wait_for eval '[ "$(query "SELECT count(*) FROM attempts WHERE outcome = '"'running'"'")" = 1 ]'
run "$SWEEP" rm grid; refused "another sweep (process $PID) is writing results.db"
run "$SWEEP" gc;      refused "another sweep (process $PID) is writing results.db"
kill -9 "$PID"; collect; wait_for no_workers
check test "$(folders)" -ge 27
run "$SWEEP" run other.yaml "${other[@]}"; expect_status 0

# rm: its runs go, what the other uses stays and is used
board=$(query "SELECT run, dev_bleu, small_bleu, status FROM leaderboard WHERE sweep = 'other'")
run "$SWEEP" rm grid
expect_status 0; expect_no_err; expect_out "removed grid: 8 runs"; expect_out "kept: 9 artifacts that other sweeps use"
whole
check test "$(query "SELECT run, dev_bleu, small_bleu, status FROM leaderboard")" = "$board"
check test "$(query "SELECT count(*) FROM artifacts WHERE state = 'done'")" -eq 18
again; run "$SWEEP" run other.yaml "${other[@]}"; expect_status 0; check test "$(made)" -eq 0
run "$SWEEP" rm grid; refused 'no sweep `grid`'
# the numbers of its runs are not used again
last=$(query "SELECT max(id) FROM runs")
run "$SWEEP" rm other; expect_status 0; expect_out "removed other"
check test "$(state | cut -d' ' -f1-5)" = "0 0 0 0 0"; check test "$(folders)" -eq 0
run "$SWEEP" report; expect_status 2
run "$SWEEP" run grid.yaml "${grid[@]}"; expect_status 0
check test "$(query "SELECT min(id) FROM runs")" -eq $((last + 1))
check test "$(query "SELECT name || ' ' || runs FROM (SELECT sweep AS name, runs FROM removed ORDER BY id)" | tr '\n' ' ')" = "grid 8 other $(query "SELECT runs FROM removed WHERE sweep = 'other'") "
again; run "$SWEEP" run other.yaml "${other[@]}"; expect_status 0; check test "$(made)" -eq 9

# killed between the rows and the folders: gc ends it, and so does what needs the folder first
copy=$(mktemp -d "$WORK/copy.XXXX"); cp -r results.artifacts/. "$copy"
run "$SWEEP" rm grid; expect_status 0
sqlite3 results.db "PRAGMA foreign_keys = ON" # (a plain client may look)
gone=$(comm -23 <(ls "$copy") <(ls results.artifacts) | grep -E '^[0-9a-f]{64}$')
check test "$(wc -l <<<"$gone")" -eq 9
for key in $gone; do cp -r "$copy/$key" results.artifacts/; sqlite3 results.db "INSERT INTO garbage VALUES('$key')"; done
run "$SWEEP" gc --dry-run
expect_status 0; expect_out "would remove"; expect_out "9 artifacts that no run uses, "; check test "$(folders)" -eq 27
run "$SWEEP" gc
expect_status 0; expect_out "9 artifacts that no run uses, "; check test "$(folders)" -eq 18
expect_query 0 "SELECT count(*) FROM garbage"
for key in $gone; do cp -r "$copy/$key" results.artifacts/; sqlite3 results.db "INSERT INTO garbage VALUES('$key')"; done
again; run "$SWEEP" run grid.yaml "${grid[@]}"; expect_status 0; check test "$(made)" -eq 0
run "$SWEEP" gc; expect_status 0; expect_out "nothing to remove"
expect_query 0 "SELECT count(*) FROM garbage"; whole

# gc: everything that is ours and nobody's, and nothing else
key=$(query "SELECT key FROM artifacts LIMIT 1")
unknown=$(printf '%064d' 7)
mkdir -p results.artifacts/"$key".unusable "results.artifacts/$key.tmp.99" "results.artifacts/$key.fresh" results.artifacts/mine "results.artifacts/$unknown"
echo mine >results.artifacts/mine/file; echo mine >results.artifacts/notes.txt
head -c 3000 /dev/zero >"results.artifacts/$key.unusable/adapter_model.safetensors"
mkdir -p results.artifacts/logs results.artifacts/jobs
echo said >results.artifacts/logs/0123456789abcdef.1.log; echo '{}' >results.artifacts/jobs/0123456789abcdef.1.json
kept=results.artifacts/logs/$(query "SELECT substr(j.key, 1, 16) FROM jobs j JOIN artifacts a ON a.job_id = j.id LIMIT 1").1.log
echo said >"$kept"; echo mine >results.artifacts/logs/mine.log
run "$SWEEP" gc --dry-run
expect_status 0; expect_out "would remove 3.0 kB"; check test -e "results.artifacts/$key.unusable"
run "$SWEEP" gc
expect_status 0; expect_no_err; expect_out "removed 3.0 kB"
expect_out "2 damaged folders, 3.0 kB"; expect_out "2 folders half made, or replaced"; expect_out "2 job files and logs"
check test -e "$kept"; check test -e results.artifacts/mine/file; check test -e results.artifacts/notes.txt
check test -e results.artifacts/logs/mine.log; check test ! -e results.artifacts/logs/0123456789abcdef.1.log
check test "$(folders)" -eq 28
whole
run "$SWEEP" gc; expect_out "nothing to remove"

# a whole folder without a row waits for the sweep that needs it; with --all it does not
rm -r results.artifacts/mine
run "$SWEEP" run grid.yaml "${grid[@]}" --db new.db; expect_status 0
mv new.db gone.db; rm -f new.db-*
run "$SWEEP" run other.yaml "${other[@]}" --set num_virtual_tokens=20 --db new.db; expect_status 0
run "$SWEEP" gc --db new.db
expect_status 0; expect_out "nothing to remove"; expect_out "kept: 18 whole artifacts that the database does not know"
run "$SWEEP" gc --db new.db --all --dry-run
expect_out "18 artifacts that no run uses"
run "$SWEEP" gc --db new.db --all
expect_status 0; check test "$(find new.artifacts -name artifact.json | wc -l)" -eq 9
run "$SWEEP" check --db new.db; expect_status 0

# rows that no run refers to: a sweep's points that were removed by hand
sqlite3 results.db "DELETE FROM run_artifacts WHERE run_id IN (SELECT id FROM runs WHERE sweep_id = (SELECT id FROM sweeps WHERE name = 'grid'));
	DELETE FROM runs WHERE sweep_id = (SELECT id FROM sweeps WHERE name = 'grid')"
run "$SWEEP" gc
expect_status 0; expect_out "9 artifacts that no run uses"; check test "$(folders)" -eq 18
whole
again; run "$SWEEP" run other.yaml "${other[@]}"; expect_status 0; check test "$(made)" -eq 0

# a round of --force that was stopped keeps what it has made
FAKE_RULES="train:sleep:9" run_behind "$SWEEP" run other.yaml "${other[@]}" --force --jobs 1
wait_for eval '[ "$(query "SELECT count(*) FROM attempts WHERE outcome = '"'running'"'")" = 1 ]'
kill -9 "$PID"; collect; wait_for no_workers
adapter=$(query "SELECT key FROM artifacts WHERE kind = 'adapter' LIMIT 1")
cp -r "results.artifacts/$adapter" "results.artifacts/$adapter.fresh"
run "$SWEEP" gc; expect_status 0; check test -e "results.artifacts/$adapter.fresh"; check test "$(folders)" -eq 19
run "$SWEEP" run other.yaml "${other[@]}"; expect_status 0; check test "$(folders)" -eq 18
whole
finish
