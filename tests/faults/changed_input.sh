#!/usr/bin/env bash
# A file that results depend on changes while the sweep runs: the sweep stops with one sentence that names it, nothing that
# was made from other bytes is recorded, and the same command does with the new file what is to be done.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
cp "$SOURCE_DIR"/sweeps/data/* .
write_sweep grid.yaml
sed -i 's|^dataset:.*|dataset: {train: train.txt, eval: {dev: {input: dev.txt, references: dev.out}, small: {input: small.txt, references: small.out}}}|' grid.yaml
export FAKE_GATE="$WORK/gate"
reorder() { sort -R --random-source=<(yes) "$1" >"$1.new" && mv "$1.new" "$1"; }
one_waits() { [ "$(query "SELECT count(*) > 0 FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE a.outcome = 'running' AND j.kind = '$1'")" = 1 ] && [ -s "$FAKE_LOG" ]; }
# behind RULE KIND: begins a sweep and comes back when a worker of that kind waits at the gate, and something was made
behind() {
	rm -rf results.* made.log "$FAKE_GATE"
	FAKE_RULES="$1:wait:9" run_behind "$SWEEP" run grid.yaml --jobs 2
	wait_for one_waits "$2"
}

# changed FILE RULE KIND HOW...: changes FILE in the middle of such a sweep, and sees it stop
changed() {
	local file=$1
	behind "$2" "$3"
	shift 3
	"$@"
	: >"$FAKE_GATE"
	collect
	expect_status 1
	expect_err "sweep: $PWD/$file changed while the sweep ran"
	expect_err "finished work is kept"
	CHECKS=$((CHECKS + 1))
	[ "$(printf '%s\n' "$ERR" | grep -c '^sweep: ')" -eq 1 ] || fail "expected one sentence"
	expect_query interrupted "SELECT status FROM sweeps"
	expect_query 0 "SELECT count(*) FROM runs WHERE status = 'failed'"
	expect_query 0 "SELECT count(*) FROM attempts WHERE outcome IN ('failed', 'retry', 'running')"
	check no_workers
}

# replaced by rename: what was trained with the old file is kept under its own key, and every training is done anew
changed train.txt train,num_virtual_tokens=5 train reorder train.txt
before=$(query "SELECT count(*) FROM artifacts WHERE kind = 'adapter' AND state = 'done'")
check [ "$before" -ge 1 ]
run "$SWEEP" run grid.yaml
expect_status 0
expect_query 36 "SELECT count(*) FROM runs WHERE status = 'done' AND sweep_id = (SELECT max(id) FROM sweeps)"
check [ "$(sort made.log | uniq | grep -c ^train)" -eq $((before + 3)) ]
check [ -z "$(made_twice)" ]

# written to in place; only one split's references; removed
changed dev.txt decode decode sh -c 'echo "one: more" >>dev.txt'
changed small.out decode decode sh -c 'tail -n +2 small.out >x; cat x >small.out'
rm -rf results.*
changed dev.out decode decode rm dev.out
cp "$SOURCE_DIR"/sweeps/data/* .

# touched and copied over itself: only looks different
behind decode decode
touch train.txt dev.txt
cp small.txt small.new && mv small.new small.txt
: >"$FAKE_GATE"
collect
expect_status 0
check [ -z "$(made_twice)" ]

# changed before the first worker looks: the check job sees it
rm -rf results.* made.log
cat >slow-runner <<END
#!/bin/sh
[ -e changed ] || { echo more >>train.txt; : >changed; }
exec "$SWEEP_RUNNER" "\$@"
END
chmod +x slow-runner
SWEEP_RUNNER="$PWD/slow-runner" run "$SWEEP" run grid.yaml
expect_status 1
expect_err "train.txt changed while the sweep ran (its digest was"
expect_query 0 "SELECT count(*) FROM sweeps"
finish
