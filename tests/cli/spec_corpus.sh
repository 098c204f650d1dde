#!/usr/bin/env bash
# The fuzzer's corpus of sweep files as a regression test: `sweep run --dry-run` accepts a file or refuses it with one
# sentence, never anything else, and leaves nothing behind.
. "$SOURCE_DIR/tests/lib.sh"
for file in "$SOURCE_DIR"/tests/fuzz/corpus_spec/*; do
	RUN_LIMIT=20 run "$SWEEP" run "$file" --dry-run
	if [ "$STATUS" -eq 0 ]; then
		expect_out "to do"
	else
		expect_status 2
		# notes may come first
		ERR=$(printf '%s\n' "$ERR" | grep -v '^note: ')
		expect_one_sentence
	fi
done
CHECKS=$((CHECKS + 1))
[ -z "$(ls "$WORK")" ] || fail "--dry-run left: $(ls "$WORK")"
finish
