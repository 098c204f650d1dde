# shellcheck shell=bash
# fake_lib.sh - sourced by the fault tests and tests/cli/run.sh: sweeps worked off by a fake runner, so that a test of the
# scheduler takes a second and not a training.
#
#     . "$SOURCE_DIR/tests/fake_lib.sh"     after lib.sh
#     write_sweep grid.yaml; FAKE_RULES="train:kill:1" run "$SWEEP" run grid.yaml; made

export SWEEP_RUNNER="$BUILD_DIR/tests/fake-runner" FAKE_LOG="$WORK/made.log" FAKE_MS="${FAKE_MS:-0}" FAKE_RULES=""
[ -x "$SWEEP_RUNNER" ] || { echo "FAIL: $SWEEP_RUNNER is missing: build the target fake-runner"; exit 1; }

# 36 runs: 3 trainings, 18 searches, dev and small
write_sweep() {
	cat >"$1" <<'END'
name: grid
model: demo
dataset: demo
method: grid
metric: {name: dev_bleu, goal: maximize}
parameters:
  num_virtual_tokens: [5, 10, 20]
  num_beams: [3, 5, 7]
  max_new_tokens: [20, 50]
  temperature: [0.2, 1.0]
  do_sample: true
END
}
# how many artifacts workers made, and whether any was made twice
made() { wc -l <"$FAKE_LOG"; }
made_twice() { sort "$FAKE_LOG" | uniq -d; }
# query SQL: from results.db, with a second process beside a running scheduler
query() { sqlite3 -readonly -cmd '.timeout 5000' results.db "$1"; }
ANSWER=
# expect_query VALUE SQL
expect_query() {
	CHECKS=$((CHECKS + 1))
	ANSWER=$(query "$2")
	[ "$ANSWER" = "$1" ] || fail "expected '$1', found '$ANSWER': $2"
}
have_sqlite3() { command -v sqlite3 >/dev/null || skip "sqlite3 is not installed"; }
# in its own session, so that a kill reaches it and nobody else; its pid is in $PID
run_behind() {
	setsid "$@" >"$WORK/.out-behind" 2>"$WORK/.err-behind" </dev/null &
	PID=$!
	RAN="$*"
}
collect() {
	wait "$PID"
	STATUS=$?
	OUT=$(cat "$WORK/.out-behind")
	ERR=$(cat "$WORK/.err-behind")
}
# wait_for COMMAND...: until it holds, at most 20 s
wait_for() {
	for _ in $(seq 400); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	CHECKS=$((CHECKS + 1))
	fail "waited 20 s for: $*"
	return 1
}
no_workers() { ! pgrep -f "^$SWEEP_RUNNER $WORK/" >/dev/null; }
