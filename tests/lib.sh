# shellcheck shell=bash
# lib.sh - sourced by the CLI and fault tests: a scratch folder, and checks that say what they saw.
#
#     . "$SOURCE_DIR/tests/lib.sh"
#     run "$SWEEP" params; expect_status 0; expect_out "num_beams"
#     finish

set -u
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
CHECKS=0 BAD=0

# run COMMAND...: runs it without input, at most RUN_LIMIT seconds; keeps $STATUS, $OUT, $ERR
run() {
	timeout -k 5 "${RUN_LIMIT:-60}" "$@" >"$WORK/.out" 2>"$WORK/.err" </dev/null
	STATUS=$?
	OUT=$(cat "$WORK/.out")
	ERR=$(cat "$WORK/.err")
	RAN="$*"
}
fail() {
	BAD=$((BAD + 1))
	echo "FAIL: $1"
	echo "  command: ${RAN:-}"
	echo "  status:  ${STATUS:-}"
	printf '%s\n' "${OUT:-}" | head -n 12 | sed 's/^/  out: /'
	printf '%s\n' "${ERR:-}" | head -n 12 | sed 's/^/  err: /'
}
expect_status() { CHECKS=$((CHECKS + 1)); [ "$STATUS" -eq "$1" ] || fail "expected exit status $1"; }
expect_out() { CHECKS=$((CHECKS + 1)); case "$OUT" in *"$1"*) ;; *) fail "expected on stdout: $1" ;; esac; }
expect_err() { CHECKS=$((CHECKS + 1)); case "$ERR" in *"$1"*) ;; *) fail "expected on stderr: $1" ;; esac; }
expect_no_err() { CHECKS=$((CHECKS + 1)); [ -z "$ERR" ] || fail "expected nothing on stderr"; }
# one sentence: a single line, "sweep: " in front, no stack of causes, no trailing full stop doubled
expect_one_sentence() {
	CHECKS=$((CHECKS + 1))
	[ "$(printf '%s\n' "$ERR" | wc -l)" -eq 1 ] || fail "expected one line on stderr"
	case "$ERR" in "sweep: "*) ;; *) fail "expected the sentence to start with 'sweep: '" ;; esac
}
# refused NEEDLE: bad input: status 2, one sentence that holds NEEDLE
refused() { expect_status 2; expect_one_sentence; expect_err "$1"; }
check() { CHECKS=$((CHECKS + 1)); RAN="$*"; "$@" || fail "expected to hold: $*"; }
# The cache that `dataset: e2e` is found in, filled from the copy beside the checkout; false where there is none.
e2e_cache() {
	local from="$SOURCE_DIR/../shared/e2e"
	[ -r "$from/train.txt.gz" ] || return 1
	export HF_ASSETS_CACHE="$WORK/assets"
	mkdir -p "$HF_ASSETS_CACHE/sweep/datasets/e2e"
	cp "$from"/* "$HF_ASSETS_CACHE/sweep/datasets/e2e/"
}
skip() { echo "skipped: $1"; exit 77; }
finish() {
	echo "$CHECKS checks, $BAD failed"
	[ "$BAD" -eq 0 ] && [ "$CHECKS" -gt 0 ]
	exit $?
}
