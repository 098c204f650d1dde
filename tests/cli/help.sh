#!/usr/bin/env bash
# What the programs say of themselves: every option has its words, nothing is wider than asked for or broken within a
# word, and the first steps name a sweep file that is there.
. "$SOURCE_DIR/tests/lib.sh"

words() { tr -s '[:space:]' '\n' | sort | uniq -c; }
widest() { awk '{ if (length($0) > n) n = length($0) } END { print n + 0 }'; }

for command in "" run report show compare status check note rm gc fetch score generate params; do
	run env COLUMNS=80 "$SWEEP" $command --help
	expect_status 0
	check test "$(printf '%s\n' "$OUT" | widest)" -le 80
	narrow=$(COLUMNS=60 "$SWEEP" $command --help | sed 1,3d | words)
	[ -z "$command" ] || check test "$narrow" = "$(printf '%s\n' "$OUT" | sed 1,3d | words)"
	bare=$(printf '%s\n' "$OUT" | grep -E '^  --?[a-z-]+( TEXT| N)? *$')
	[ -z "$bare" ] || fail "options without a word of help: $bare"
done
run env COLUMNS=200 "$SWEEP" params
check test "$(printf '%s\n' "$OUT" | widest)" -gt 100
run "$SWEEP" params
check test "$(printf '%s\n' "$OUT" | widest)" -le 80

# first steps: in a clone the short name, after an install the place it was put
first() { "$1" --help | tr '\n' ' ' | sed -E 's/.*`sweep run ([^`]*)`.*/\1/'; }
check test "$(cd "$SOURCE_DIR" && first "$SWEEP")" = sweeps/beam_grid.yaml
mkdir -p installed/bin installed/share/sweep && cp "$SWEEP" installed/bin/sweep && cp -r "$SOURCE_DIR/sweeps" installed/share/sweep/
check test "$(first installed/bin/sweep)" = "$WORK/installed/share/sweep/sweeps/beam_grid.yaml"
rm -r installed/share
check test "$(first installed/bin/sweep)" = FILE
finish
