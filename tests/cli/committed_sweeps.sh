#!/usr/bin/env bash
# The sweep files of this repository work in a stranger's clone: they name nothing outside of it but what can be fetched.
. "$SOURCE_DIR/tests/lib.sh"
export HF_HOME="$WORK/hf" HF_HUB_OFFLINE=1
unset HF_ASSETS_CACHE HUGGINGFACE_ASSETS_CACHE
mkdir -p alone/clone && cp -r "$SOURCE_DIR/sweeps" alone/clone/
cd alone/clone || exit 1

run "$SWEEP" run sweeps/beam_grid.yaml --dry-run
expect_status 0; expect_out "36 runs"
# not fetched yet: one sentence that says what to do
for file in e2e_small prefixtune; do
	run "$SWEEP" run "sweeps/$file.yaml" --set model=demo --dry-run
	refused "sweeps/$file.yaml: the dataset \`e2e\` is not on this machine yet: run \`sweep fetch e2e\` first"
done
run "$SWEEP" run sweeps/prefixtune.yaml --dry-run
refused "the model \`distilgpt2\` is not on this machine yet"

e2e_cache || { echo "NOT CHECKED: ../shared/e2e is missing, so the sweeps over E2E were not planned"; finish; }
run "$SWEEP" run sweeps/e2e_small.yaml --dry-run
expect_status 0; expect_out "36 runs"
run "$SWEEP" run sweeps/prefixtune.yaml --set model=demo --dry-run
expect_status 0; expect_out "8 runs"
# a little of it, with the published scores beside ours
RUN_LIMIT=240 run "$SWEEP" run sweeps/prefixtune.yaml --set model=demo --set train_limit=16 --set max_new_tokens=5 \
	--set 'dataset={name: e2e, eval: {dev: {limit: 2}, small: {limit: 2}}}' --quiet
expect_status 0
run "$SWEEP" report --format csv
expect_status 0; expect_out "16.1767"; expect_out "30.3138"
run "$SWEEP" report --format markdown
expect_status 0; expect_out "30.39"
finish
