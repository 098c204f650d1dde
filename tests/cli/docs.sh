#!/usr/bin/env bash
# The commands, queries and sweep files that README.md and docs/ show are run, in a scratch folder like a clone whose
# quickstart was made smaller (the same 36 runs, 16 training pairs, 6 tables); tests/docs.py says how blocks are marked.
. "$SOURCE_DIR/tests/lib.sh"
command -v python3 >/dev/null || skip "needs python3"
export HF_HUB_OFFLINE=1 HF_HOME="$WORK/hf" COLUMNS=100 PATH="${SWEEP%/*}:$PATH"
cp -r "$SOURCE_DIR/sweeps" . && chmod -R u+w sweeps || exit 1
head -n 3 sweeps/data/small.txt >tables.txt

RUN_LIMIT=280 run "$SWEEP" run sweeps/beam_grid.yaml --jobs 2 --set train_limit=16 --set batch_size=4 \
	--set 'dataset={name: demo, eval: {dev: {limit: 6}, small: {limit: 6}}}'
expect_status 0
pages=(README.md)
for page in "$SOURCE_DIR"/docs/*.md "$SOURCE_DIR"/docs/*/*.md; do pages+=("${page#"$SOURCE_DIR/"}"); done
CHECKS=$((CHECKS + 1))
python3 "$SOURCE_DIR/tests/docs.py" "$SOURCE_DIR" "${pages[@]}" || { BAD=$((BAD + 1)); }
finish
