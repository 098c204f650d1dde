#!/usr/bin/env bash
# The real runner: one sweep with one job at a time, with two, with other thread counts, and killed with -9 five times on the
# way gives the same adapters, texts and scores, byte for byte.
. "$SOURCE_DIR/tests/lib.sh"
command -v sqlite3 >/dev/null || skip "sqlite3 is not installed"
head -n 12 "$SOURCE_DIR/sweeps/data/dev.txt" >dev.txt
grep -E '^([0-9]|1[01])\|\|' "$SOURCE_DIR/sweeps/data/dev.out" >dev.out
cat >s.yaml <<Y
name: same
model: demo
dataset: {train: $SOURCE_DIR/sweeps/data/train.txt, eval: {dev: {input: dev.txt, references: dev.out}}}
parameters:
  num_virtual_tokens: [0, 3, 5]
  num_beams: [1, 4]
  temperature: [0.5, 1.0]
  do_sample: true
  max_new_tokens: [8, 30]
  prefix_projection: true
  learning_rate: 0.005
  batch_size: 8
  train_limit: 200
Y
# everything that was made, and every score, in one text
all_of() { (cd "$1.artifacts" && find . -path './*/*' -type f -name '*.*' ! -path './logs/*' ! -path './jobs/*' ! -path './scratch/*' | sort | xargs sha256sum)
	sqlite3 -readonly "$1.db" 'SELECT num_virtual_tokens, num_beams, temperature, max_new_tokens, score FROM runs ORDER BY 1, 2, 3, 4'; }
export RUN_LIMIT=250
run "$SWEEP" run s.yaml --db one.db --jobs 1 --threads 1
expect_status 0
run "$SWEEP" run s.yaml --db two.db --jobs 2 --threads 2
expect_status 0
run "$SWEEP" run s.yaml --db three.db --jobs 1 --threads 3
expect_status 0
for wait in 0.2 0.5 0.8 0.3 0.6; do
	"$SWEEP" run s.yaml --db killed.db --jobs 2 --quiet >/dev/null 2>&1 </dev/null &
	sleep $wait
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
done
# at least one of the kills met work (a faster machine needs a longer training here)
check [ "$(sqlite3 killed.db "SELECT count(*) > 0 FROM attempts WHERE outcome <> 'done'")" -eq 1 ]
mkdir -p killed.artifacts/0123.tmp.77 # what a worker leaves that is killed while it writes
echo half >killed.artifacts/0123.tmp.77/hypotheses.jsonl
run "$SWEEP" run s.yaml --db killed.db
expect_status 0
check [ -z "$(find killed.artifacts -name '*.tmp.*')" ]
for db in one two three killed; do all_of $db >$db.txt; done
check [ "$(grep -c adapter_model.safetensors one.txt)" -eq 2 ]
check [ "$(grep -c hypotheses.jsonl one.txt)" -eq 24 ]
check [ "$(sqlite3 one.db 'SELECT count(DISTINCT score) > 3 FROM runs')" -eq 1 ]
for db in two three killed; do check diff -q one.txt $db.txt; done
finish
