#!/usr/bin/env bash
# `sweep params` in its three forms, the page that is made from it, and what every command shares: help, version, names.
. "$SOURCE_DIR/tests/lib.sh"

run "$SWEEP" params
expect_status 0
expect_no_err
for name in num_virtual_tokens prefix_projection learning_rate num_beams max_new_tokens temperature top_p seed; do
	expect_out "$name"
done
expect_out "also written"
expect_out "virtual_tokens virtualtokens"
CHECKS=$((CHECKS + 1))
[ "$(printf '%s\n' "$OUT" | awk 'length > 80' | wc -l)" -eq 0 ] || fail "a line of more than 80 columns"
CHECKS=$((CHECKS + 1))
[ "$(printf '%s\n' "$OUT" | grep -c '[[:space:]]$')" -eq 0 ] || fail "spaces at the end of a line"
CHECKS=$((CHECKS + 1))
printf '%s\n' "$OUT" | grep -q $'\033' && fail "colour on a pipe"

# one row for each row of params.def
rows=$(grep -c '^PARAM(' "$SOURCE_DIR/src/base/params.def")
run "$SWEEP" params --format markdown
expect_status 0
CHECKS=$((CHECKS + 1))
[ "$(printf '%s\n' "$OUT" | wc -l)" -eq $((rows + 2)) ] || fail "expected $rows rows and a heading"
# docs/SWEEP_FILE.md is this output
page=$(sed -n '/^<!-- sweep params/,/^<!-- end/p' "$SOURCE_DIR/docs/SWEEP_FILE.md" | sed '1d;$d')
CHECKS=$((CHECKS + 1))
[ "$page" = "$OUT" ] || fail "docs/SWEEP_FILE.md differs: put the output of 'sweep params --format markdown' there"

run "$SWEEP" params --format json
expect_status 0
if command -v python3 >/dev/null; then
	CHECKS=$((CHECKS + 1))
	printf '%s' "$OUT" | python3 -c "
import json, sys
rows = json.load(sys.stdin)
assert len(rows) == $rows, len(rows)
by_name = {row['name']: row for row in rows}
assert by_name['seed']['max'] == 2**63 - 1
assert by_name['dropout']['default'] is None
assert by_name['num_beams']['aliases'] == ['beams', 'beam_size']
assert by_name['early_stopping']['choices'] == ['false', 'true', 'never']
" || fail "the JSON is not what it should be"
fi

run "$SWEEP" params --format yaml
refused "expected table, json or markdown, found \`yaml\`"
run "$SWEEP" params extra
refused "takes no arguments"
run "$SWEEP" params --fromat json
refused "did you mean --format?"
run "$SWEEP" params --help
expect_status 0
expect_out "Usage: sweep params"
expect_out "--format"

run "$SWEEP" --version
expect_status 0
expect_out "sweep "
run "$SWEEP" --help
expect_status 0
for name in run report show compare status fetch score generate params; do
	expect_out "  $name "
done
run "$SWEEP" help params
expect_status 0
expect_out "Usage: sweep params"
run "$SWEEP"
expect_status 2
run "$SWEEP" rum
refused "unknown command \`rum\`; did you mean \`run\`?"
run "$SWEEP" frobnicate
refused "\`sweep --help\` lists them"
if [ -w /dev/full ]; then
	run sh -c "'$SWEEP' params >/dev/full"
	refused "cannot write to standard output"
fi
finish
