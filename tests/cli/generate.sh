#!/usr/bin/env bash
# sweep generate without a database: the demo model on a file, on standard input, on a pipe that the shell made.
. "$SOURCE_DIR/tests/lib.sh"
export TMPDIR="$WORK/tmp"
mkdir tmp
TABLES="$SOURCE_DIR/sweeps/data/small.txt"
[ -s "$TABLES" ] || TABLES=$(ls "$SOURCE_DIR"/sweeps/data/*.txt | head -n 1)
head -n 2 "$TABLES" | cut -d'|' -f1-4 >two.txt

run "$SWEEP" generate --model demo two.txt --threads 1 --set max_new_tokens=4
expect_status 0; expect_no_err
check test "$(printf '%s\n' "$OUT" | wc -l)" = 2
texts=$OUT
OUT=$("$SWEEP" generate --model demo --threads 1 --set max_new_tokens=4 <two.txt)
check test "$OUT" = "$texts"
OUT=$("$SWEEP" generate --model demo - --threads 1 --set max_new_tokens=4 <two.txt)
check test "$OUT" = "$texts"
# a pipe has a name that only this process can open: the worker gets a copy
run "$SWEEP" generate --model demo <(cat two.txt) --threads 1 --set max_new_tokens=4
expect_status 0; expect_no_err
check test "$OUT" = "$texts"
mkfifo pipe; cat two.txt >pipe &
run "$SWEEP" generate --model demo pipe --threads 1 --set max_new_tokens=4
expect_status 0
check test "$OUT" = "$texts"
check test -z "$(ls tmp)"

run "$SWEEP" generate --model demo nowhere.txt;                refused "cannot open nowhere.txt"
run "$SWEEP" generate --model demo . --threads 1;              expect_status 2
run "$SWEEP" generate --model demo <(printf '') --threads 1;   expect_status 2; expect_err "/dev/fd/"
run "$SWEEP" generate;                                         refused "which run?"
finish
