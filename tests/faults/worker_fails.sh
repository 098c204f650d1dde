#!/usr/bin/env bash
# What becomes of workers that fail: a killed one is tried again, bad input is not, and a failure fails its own runs only.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml

# killed twice, then well: all runs have scores
FAKE_RULES="num_virtual_tokens=5:kill:2" run "$SWEEP" run grid.yaml --set "num_beams=3"
expect_status 0
expect_err "killed by signal 9"
expect_query 12 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
expect_query 3 "SELECT max(attempt) FROM attempts"
rm -rf results.* made.log

# bad input: told once, not tried again; the runs that need it fail with the sentence, the others go on
FAKE_RULES="train:refuse:9" run "$SWEEP" run grid.yaml --set "num_beams=3" --set "num_virtual_tokens=[0, 5]"
expect_status 1
expect_err "train.txt:7: expected \`table||text\`"
expect_err "fake-runner: train.txt:7"
expect_query 4 "SELECT count(*) FROM leaderboard WHERE status = 'done' AND num_virtual_tokens = 0"
expect_query 4 "SELECT count(*) FROM runs WHERE status = 'failed' AND num_virtual_tokens = 5"
expect_query 1 "SELECT count(*) FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.kind = 'train'"
# what needed it says so in its own row
expect_query 0 "SELECT count(*) FROM jobs WHERE waits_for IS NOT NULL AND (state <> 'failed' OR reason NOT LIKE 'it needs %')"
check [ "$(query "SELECT count(*) FROM jobs WHERE waits_for IS NOT NULL")" -gt 0 ]
expect_query 0 "SELECT count(*) FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.kind = 'decode' AND a.outcome <> 'done'"
# when the cause is gone the same command does what is left, and only that
before=$(made)
run "$SWEEP" run grid.yaml --set "num_beams=3" --set "num_virtual_tokens=[0, 5]"
expect_status 0
expect_query 8 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
check [ "$(($(made) - before))" -eq 9 ]
check [ -z "$(made_twice)" ]
rm -rf results.* made.log

# decoding with one adapter fails: only its runs
FAKE_RULES="decode,num_virtual_tokens=5:mute:9" run "$SWEEP" run grid.yaml
expect_status 1
expect_err "did not say why"
expect_query 24 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
expect_query 12 "SELECT count(*) FROM runs WHERE status = 'failed' AND num_virtual_tokens = 5"
rm -rf results.* made.log

# one beam width fails: its runs, and not those of the searches that shared its jobs
FAKE_RULES="num_beams=5:mute:9" run "$SWEEP" run grid.yaml
expect_status 1
expect_err "tried one by one"
expect_query 24 "SELECT count(*) FROM leaderboard WHERE status = 'done' AND num_beams <> 5"
expect_query 12 "SELECT count(*) FROM runs WHERE status = 'failed' AND num_beams = 5"
check [ -z "$(made_twice)" ]
rm -rf results.* made.log

# half done when it dies: the second attempt makes the rest
FAKE_RULES="decode:half:1" run "$SWEEP" run grid.yaml --set "num_beams=3"
expect_status 0
check [ -z "$(made_twice)" ]
rm -rf results.* made.log

# all made, then death: nothing is repeated; garbage on the pipe; a worker that forgets; one that spoils its artifacts
FAKE_RULES="train:late:9;num_virtual_tokens=5:chatter:9;num_virtual_tokens=10:forget:1;num_virtual_tokens=20:spoil:9" \
	run "$SWEEP" run grid.yaml
expect_status 1
expect_err "ended without making"
expect_err "artifact.json"
expect_query 24 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
expect_query 3 "SELECT count(*) FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.kind = 'train'"
run "$SWEEP" run grid.yaml
expect_status 0
expect_query 36 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
rm -rf results.* made.log

# enough failures: nothing new is started; a worker that sleeps is ended when its time is over, and not tried again
FAKE_RULES="train:refuse:9" run "$SWEEP" run grid.yaml --jobs 1 --keep-going 1
expect_status 1
expect_err "stopped after 1 failed job (--keep-going 1)"
expect_query 1 "SELECT count(*) FROM attempts"
rm -rf results.* made.log
FAKE_RULES="train:sleep:9" run "$SWEEP" run grid.yaml --set "num_virtual_tokens=[0, 5]" --set "num_beams=3" --timeout 1.5s
expect_status 1
expect_err "it took longer than the 1.5 s that --timeout allows"
expect_query 4 "SELECT count(*) FROM leaderboard WHERE status = 'done'"
expect_query 1 "SELECT count(*) FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.kind = 'train'"
run "$SWEEP" run grid.yaml --timeout soon
refused "--timeout"
rm -rf results.* made.log

# the check job refuses: status 2, one sentence, no sweep begun
FAKE_RULES="check:refuse:9" run "$SWEEP" run grid.yaml
refused "train.txt:7: expected"
expect_query 0 "SELECT count(*) FROM sweeps"
FAKE_RULES="check:kill:9" run "$SWEEP" run grid.yaml
expect_status 2
expect_err "killed by signal 9"
finish
