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

# A byte order mark and blank lines change nothing; a packed file is unpacked.
printf '\xef\xbb\xbf1||b||hello there\n\n\xc2\xa0\n0||a||the cat\n0||a||the the dog\n' >marked
printf '\xef\xbb\xbf1||hello world\n\n0||the the the the\n' >marked_hyps
gzip -kf marked
for file in marked marked.gz; do
	run "$SWEEP" score $file marked_hyps
	expect_status 0
	expect_out "sentence BLEU   40.97  mean of 2"
done

# JSON lines such as a run's hypotheses.jsonl, by id; and what is nearly that.
printf '{"id":1,"text":"hello w\\u006frld","score":-0.5,"tokens":3}\n{"id":0,"text":"the the the the","score":null,"more":[{"id":7}]}\n' >run.jsonl
run "$SWEEP" score refs run.jsonl
expect_status 0
expect_out "sentence BLEU   40.97  mean of 2"
run "$SWEEP" score ref1 ref2 run.jsonl
expect_out "sentence BLEU   40.97  mean of 2"
run "$SWEEP" score run.jsonl hyp
refused "run.jsonl:1: JSON lines are hypotheses"
head -n 1 run.jsonl >half.jsonl
run "$SWEEP" score refs half.jsonl
refused "half.jsonl has 1 hypotheses, but refs is about 2 inputs"
printf '{"id":1,"text":"a"}\n{"id":1,"text":"b"}\n' >twice.jsonl
run "$SWEEP" score refs twice.jsonl
refused "twice.jsonl:2: a second hypothesis for id 1"
printf '{"id":1,"text":"a"}\n{"id":2,"text":"b"}\n' >beyond.jsonl
run "$SWEEP" score refs beyond.jsonl
refused "beyond.jsonl:2: the id is not below 2"
printf '{"id":1,"text":"a"}\nplain\n' >mixed.jsonl
run "$SWEEP" score refs mixed.jsonl
refused "mixed.jsonl:2:1: not a JSON object, but the first line is one"
printf '{"prediction":"a"}\n{"prediction":"b"}\n' >names.jsonl
run "$SWEEP" score refs names.jsonl
refused 'names.jsonl:1: expected `id` with the input'
printf '{"id":0,"text":5}\n{"id":1,"text":"b"}\n' >number.jsonl
run "$SWEEP" score refs number.jsonl
refused 'number.jsonl:1: expected `text` with the hypothesis'
printf '[\n{"id": 0, "text": "a"}]\n' >whole.json
run "$SWEEP" score refs whole.json
refused "whole.json: is one JSON document; expected JSON lines"
printf '0,"hello"\n1,"world"\n' >table
run "$SWEEP" score refs table
refused "table: looks like a table (CSV)"
cp hyp hyp.csv
run "$SWEEP" score refs hyp.csv
refused "hyp.csv: looks like a table (CSV)"
printf '[ a bracket\n{ a brace\n' >brackets
run "$SWEEP" score refs brackets
expect_status 0
printf '1,000 people\n30,000 people\n' >numbers
run "$SWEEP" score refs numbers
expect_status 0

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
