#!/bin/bash
# sweep score: both forms of references and hypotheses, sacrebleu's figures, and files that do not match up.
. "$SOURCE_DIR/tests/lib.sh"

# The vectors of docs/REFERENCE.md, 6.3 as a corpus of two segments.
printf 'the the the the\nhello world\n' >hyp
printf 'the cat\nhello there\n' >ref1
printf 'the the dog\nhello there\n' >ref2
run "$SWEEP" score ref1 ref2 hyp
expect_status 0
expect_out "hyp_len = 6 ref_len = 5"
expect_out "nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
expect_out "nrefs:2|case:mixed|eff:yes|tok:13a|smooth:exp|version:2.6.0"
expect_out "sentence BLEU   40.97  mean of 2"
expect_no_err
run "$SWEEP" score --format json ref1 ref2 hyp
expect_status 0
expect_out '40.97357760615681'
check python3 -c 'import json; d = json.load(open(".out")); assert d["count"] == 2 and d["correct"] == [3, 1, 0, 0], d'

# The same with ids, in any order, Windows line ends, and a number of references that varies.
printf '1||b||hello there\r\n0||a||the cat\r\n0||a||the the dog\r\n' >refs
printf '1||hello world\n0||the the the the\n' >hyps
run "$SWEEP" score refs hyps
expect_status 0
expect_out "sentence BLEU   40.97  mean of 2"
expect_out "nrefs:var|case:mixed|eff:no"
run "$SWEEP" score refs hyp
expect_out "sentence BLEU   40.97  mean of 2"

# A perfect match is a little more than 100, as sacrebleu has it; an empty line is an empty hypothesis.
printf 'a b c d e\n\n' >same
run "$SWEEP" score same same --format json
expect_out '"bleu":	100.00000000000004'
printf 'a b c d e\n' >one
printf '\n' >empty
run "$SWEEP" score one empty
expect_status 0
expect_out "BLEU             0.00  0.0/0.0/0.0/0.0 (BP = 0.000 ratio = 0.000 hyp_len = 0 ref_len = 5)"

# A line of bars in plain text is no id.
printf 'x || y\n1||z\n' >bars
run "$SWEEP" score bars bars --format json
expect_out '"count":	2'

run "$SWEEP" score refs one
refused "one has 1 hypotheses, but refs is about 2 inputs"
run "$SWEEP" score ref1 one hyp
refused "ref1 has 2 lines, but one has 1"
printf '0||x\n0||y\n' >twice
run "$SWEEP" score refs twice
refused "twice:2: a second hypothesis for id 0"
printf '0||x\n7||y\n' >beyond
run "$SWEEP" score refs beyond
refused "beyond:2: the id is not below 2"
printf '0||a||x\n2||c||z\n2||c||z\n' >hole
run "$SWEEP" score hole hyp
refused "hole: no reference for id 1"
printf '0||a||x\n99999999999999999999||c||z\n' >huge
run "$SWEEP" score huge hyp
refused "huge:2: the id is beyond"
printf 'caf\351\nb\n' >latin
run "$SWEEP" score latin hyp
refused "latin:1:4: byte 0xe9 is not UTF-8"
printf 'a\0b\nc\n' >nul
run "$SWEEP" score nul hyp
refused "nul:1: the line holds a NUL byte"
: >nothing
run "$SWEEP" score nothing hyp
refused "nothing: the file is empty"
run "$SWEEP" score missing hyp
refused "missing"
run "$SWEEP" score .. hyp
refused ".."
run "$SWEEP" score hyp
refused "expected a file of references and a file of hypotheses"
run "$SWEEP" score ref1 hyp --format xml
refused "expected table or json, found \`xml\`"

# The whole E2E dev set (docs/REFERENCE.md, 6.3).
E2E=$SOURCE_DIR/../shared/e2e
if [ -d "$E2E" ]; then
	run "$SWEEP" score "$E2E/dev.out" "$E2E/dev.txt" --format json
	expect_out '"bleu":	8.09253749253383,'
	expect_out '"sentence_bleu":	9.077500236402733,'
	run "$SWEEP" score "$E2E/dev.out" "$E2E/dev.txt"
	expect_out "44.7/16.4/4.1/1.4 (BP = 1.000 ratio = 1.042 hyp_len = 16600 ref_len = 15934)"
else
	echo "SKIPPED: the E2E part, $E2E is not there"
fi
finish
