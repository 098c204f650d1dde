#!/usr/bin/env bash
# sweep note: written down once, shown wherever a run is told in full, and kept by whatever happens to the run.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/fake_lib.sh"
have_sqlite3
write_sweep grid.yaml
few=(--set num_beams=3 --set num_virtual_tokens=5)
run "$SWEEP" note 1 text; refused "there is no results.db"
check test ! -e results.db
run "$SWEEP" run grid.yaml "${few[@]}"; expect_status 0
run "$SWEEP" report --format csv; case "$OUT" in *note*) fail "a column of notes without a note" ;; esac

run "$SWEEP" note 2 'the one for the paper, "twice" – größer'
expect_status 0; expect_no_err
run "$SWEEP" show 2;                expect_status 0; expect_out 'the one for the paper, "twice" – größer'
run "$SWEEP" show 1;                case "$OUT" in *paper*) fail "the note of another run" ;; esac
run "$SWEEP" report --format json;  expect_out '"note":"the one for the paper, \"twice\" – größer"'
run "$SWEEP" report --format csv;   expect_out ',note'; expect_out '"the one for the paper, ""twice"" – größer"'
run "$SWEEP" report;                case "$OUT" in *paper*) fail "a note made the table wide" ;; esac
run "$SWEEP" note 2 'another';      expect_status 0
expect_query another "SELECT note FROM runs WHERE id = 2"
run "$SWEEP" run grid.yaml "${few[@]}" --force; expect_status 0
expect_query another "SELECT note FROM runs WHERE id = 2"
# hostile: nothing that a terminal would obey
run "$SWEEP" note 3 $'a\033[31mb\nc'; expect_status 0
run "$SWEEP" show 3; case "$OUT" in *$'\033[31m'*) fail "an escape sequence reached the terminal" ;; esac
run "$SWEEP" note 3 -- '--db'; expect_status 0; expect_query --db "SELECT note FROM runs WHERE id = 3"
run "$SWEEP" note 3 ''; expect_status 0; expect_query "" "SELECT note FROM runs WHERE id = 3"

run "$SWEEP" note;            refused "note takes a run's number and one text"
run "$SWEEP" note 2;          refused "note takes a run's number and one text"
run "$SWEEP" note 2 two words; refused "note takes a run's number and one text"
run "$SWEEP" note two words;  refused 'expected a run'\''s number, found `two`'
run "$SWEEP" note 99 text;    refused "there is no run 99"
run "$SWEEP" note 2 $'\xff';  refused "the text is not UTF-8"
run "$SWEEP" note 2 "$(printf '%05000d' 1)"; refused "at most 4000 bytes"
run "$SWEEP" note 2 text --bd x; refused "did you mean --db?"
expect_query another "SELECT note FROM runs WHERE id = 2"
finish
