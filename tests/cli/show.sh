#!/usr/bin/env bash
# sweep show, sweep status, sweep compare on a known database.
. "$SOURCE_DIR/tests/lib.sh"
MAKE="$BUILD_DIR/tests/test_store"
[ -x "$MAKE" ] || skip "the unit tests are not built: $MAKE is missing"
"$MAKE" --make "$WORK" grid 36 36 && "$MAKE" --make "$WORK" half 8 4 || exit 1

run "$SWEEP" show 12
expect_status 0; expect_no_err
expect_out "run 12 of grid: done"
expect_out "num_beams             7"
expect_out "prefix_projection     true  (the same in all runs)"
expect_out "dev_bleu              39.70   nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:"
expect_out "▁"
expect_out "train 20 virtual tokens: done"
expect_out "Outputs on dev"
expect_out "worst, sentence BLEU"
run "$SWEEP" show 12 --split small
expect_out "Outputs on small"; expect_out 'name : "Ral"'
run "$SWEEP" show 1
expect_status 0; expect_out "base model"
run "$SWEEP" show 44
expect_status 0; expect_out "waiting"
run "$SWEEP" show 99;            refused "there is no run 99 in results.db; its runs are 1 to 44"
run "$SWEEP" show;               refused "show takes one run's number"
run "$SWEEP" show 1 2;           refused "show takes one run's number"
run "$SWEEP" show abc;           refused 'expected a run'\''s number, found `abc`'
run "$SWEEP" show 0;             refused "expected a run's number"
run "$SWEEP" show 12 --split xx; refused 'run 12 has no split `xx`'

run "$SWEEP" status
expect_status 0; expect_no_err
expect_out "half: interrupted: the same \`sweep run sweeps/half.yaml\` goes on"
expect_out "8 runs: 4 done, 4 waiting"
expect_out "best so far: run 40, dev_bleu"
expect_out "Waiting (4 jobs)"
expect_out "(after: train 5 virtual tokens)"
expect_out "grid: done, 36 runs, all done"
run "$SWEEP" status --sweep grid
expect_out "grid: done"
run "$SWEEP" status --sweep gird; refused 'did you mean `grid`?'
run "$SWEEP" status now;          refused "status takes no argument"

run "$SWEEP" compare 36 24
expect_status 0; expect_no_err
expect_out "run 36 (grid) and run 24 (grid) on dev, 12 tables"
expect_out "temperature                      1         0.2"
expect_out "corpus BLEU"
expect_out "reference        The yacht Corlin"
run "$SWEEP" compare 36 24 --format json
expect_status 0; expect_out '"sweep_compare":1,"runs":[36,24],"split":"dev","inputs":12'
expect_out '"seed":12345'
first=$OUT
run env SACREBLEU_SEED=7 "$SWEEP" compare 36 24 --format json
expect_status 0; expect_out '"seed":7'; [ "$OUT" != "$first" ] || fail "another seed, other resamples"
seventh=$OUT
run env SACREBLEU_SEED=none "$SWEEP" compare 36 24 --seed 7 --format json
check test "$OUT" = "$seventh"
run env SACREBLEU_SEED=none "$SWEEP" compare 36 24 --format json
expect_status 0; expect_out '"seed":'; [ "$OUT" != "$first" ] || fail "a seed that nobody knows beforehand"
run env SACREBLEU_SEED= "$SWEEP" compare 36 24 --format json; check test "$OUT" = "$first"
run env SACREBLEU_SEED=7x "$SWEEP" compare 36 24; refused 'SACREBLEU_SEED: expected a whole number from 0 up or none, found `7x`'
run "$SWEEP" compare 36 24 --seed -1;  refused "--seed"
# no file is needed: the database keeps tables and references
rm -f dev.txt dev.out small.txt small.out
run "$SWEEP" compare 36 2 --split small --top 0
expect_status 0; expect_out "on small, 2 tables"
run "$SWEEP" compare 36 36
expect_status 0; expect_out "They score the same."; expect_out "12 of 12 outputs are the same text."
run "$SWEEP" compare 36 40
expect_status 0; expect_out "run 40 (half)"
run "$SWEEP" compare 36;               refused "compare takes two runs' numbers"
run "$SWEEP" compare 36 99;            refused "there is no run 99"
run "$SWEEP" compare 36 44;            refused "run 44 has no outputs on dev yet"
run "$SWEEP" compare 36 24 --split xx; refused 'no split `xx`'
run "$SWEEP" compare 36 24 --format x; refused 'unknown format `x`'
finish
