#!/usr/bin/env bash
# sweep report: formats, files, choices, and what it refuses. The numbers themselves: tests/unit/test_report.c.
. "$SOURCE_DIR/tests/lib.sh"
MAKE="$BUILD_DIR/tests/test_store"
[ -x "$MAKE" ] || skip "the unit tests are not built: $MAKE is missing"
"$MAKE" --make "$WORK" grid 36 36 && "$MAKE" --make "$WORK" half 8 4 || exit 1

run "$SWEEP" report
expect_status 0; expect_no_err; expect_out "half: 8 runs: 4 done, 4 waiting"; expect_out "Other sweeps here: grid"
run "$SWEEP" report --sweep grid
expect_out "grid: 36 runs, all done; model demo; best first by dev_bleu"
expect_out "the same in all: prefix_projection true, do_sample true"
expect_out "20 of 36 runs (--top 0 shows all)"
check test "$(printf '%s\n' "$OUT" | awk '{ if (length($0) > n) n = length($0) } END { print n <= 80 }')" = 1
case "$OUT" in *$'\033'*) fail "colour in a pipe" ;; esac
run "$SWEEP" report --sweep grid --top 0
check test "$(printf '%s\n' "$OUT" | grep -c '^ *[0-9][0-9]* ')" = 36
run "$SWEEP" report --sweep grid --best
expect_status 0; expect_out "run 36 is the best of grid by dev_bleu"; expect_out "sweep show 36"; expect_out "signature"
run "$SWEEP" report --sweep grid --metric small_bleu --top 2
expect_out "best first by small_bleu"

# formats, to stdout and into files whose ending chooses them
run "$SWEEP" report --sweep grid --format csv
expect_out "sweep,run,label,num_virtual_tokens,"
check test "$(printf '%s\n' "$OUT" | wc -l)" = 37
run "$SWEEP" report --sweep grid --format json
expect_out '"sweep":"grid"'
for ending in csv json md html; do
	run "$SWEEP" report --sweep grid -o "out.$ending"
	expect_status 0; expect_no_err
	check test -z "$OUT"
	check test -s "out.$ending"
done
check grep -q '^# grid$' out.md
check grep -q 'What each parameter does' out.md
check grep -q '<svg' out.html
! grep -Eq '(src|href)=' out.html || fail "the page loads something"
check test "$(head -c 1 out.json)" = '{'

# the terminal's width where there is none
run env COLUMNS=200 "$SWEEP" report --sweep grid
case "$OUT" in *"Not shown"*) fail "200 columns are enough" ;; esac
run env COLUMNS=40 "$SWEEP" report --sweep grid
check test "$(printf '%s\n' "$OUT" | awk '{ if (length($0) > n) n = length($0) } END { print n <= 40 }')" = 1

# refused
run "$SWEEP" report -o x.foo;             refused "-o x.foo: no format ends like that: .csv, .json, .md and .html do"
check test ! -e x.foo
run "$SWEEP" report -o x;                 refused "no format ends like that"
run "$SWEEP" report -o x.foo --format csv; expect_status 0; check test -s x.foo
run "$SWEEP" report --format tabel;       refused 'unknown format `tabel`; did you mean `table`?'
run "$SWEEP" report --metric dev_blue;    refused 'did you mean `dev_bleu`?'
run "$SWEEP" report --sweep gird;         refused 'no sweep `gird` in results.db; did you mean `grid`?'
run "$SWEEP" report --top -1;             refused "top"
run "$SWEEP" report --bets;               refused "best"
run "$SWEEP" report results.db;           refused "report takes no file"
run "$SWEEP" report -o nowhere/report.md; refused "nowhere/report.md"

# nothing to rank yet
mkdir empty && "$MAKE" --make "$WORK/empty" none 8 0 || exit 1
run "$SWEEP" report --db empty/results.db
expect_status 0; expect_out "8 waiting"
run "$SWEEP" report --db empty/results.db --best
refused "no run of sweep none has a dev_bleu yet"
finish
