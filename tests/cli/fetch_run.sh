#!/usr/bin/env bash
# `sweep run` fetches the model and the data that a sweep file names and the cache lacks; offline it says what is missing.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/hub_lib.sh"

REAL="$SOURCE_DIR/../shared/e2e"
mkdir -p e2e/input e2e/reference
DATASET=demo
if [ -r "$REAL/train.txt.gz" ]; then
	cp "$REAL/train.txt.gz" e2e/; cp "$REAL/dev.txt" "$REAL/small.txt" e2e/input/; cp "$REAL/dev.out" "$REAL/small.out" e2e/reference/
	DATASET=e2e
else
	echo "not checked: ../shared/e2e is missing, so \`dataset: e2e\` was not fetched"
fi
hub_start --repo distilbert/distilgpt2="$DEMO" --rename distilgpt2=distilbert/distilgpt2 --files /e2e="$WORK/e2e"
export SWEEP_E2E_ENDPOINT="$HF_ENDPOINT/e2e"
cat >a.yaml <<Y
name: fetched
model: distilgpt2
dataset: $DATASET
parameters: {num_virtual_tokens: 0, num_beams: 1, max_new_tokens: 5}
Y
fresh
run env HF_HUB_OFFLINE=1 "$SWEEP" run a.yaml
expect_status 2; expect_err 'HF_HUB_OFFLINE forbids the network'; check [ ! -s hub/requests ]
RUN_LIMIT=240 run "$SWEEP" run a.yaml
expect_status 0; check [ "$(asked GET cdn)" -eq 1 ]; check [ -f "$HF_HOME/hub/models--distilgpt2/refs/main" ]
[ $DATASET = demo ] || check [ -f "$HF_HOME/assets/sweep/datasets/e2e/train.txt.gz" ]
# again, and offline: everything is here
: >hub/requests
run env HF_HUB_OFFLINE=1 "$SWEEP" run a.yaml
expect_status 0; check [ ! -s hub/requests ]
rules '[{"do": "status", "status": 404}]'
run "$SWEEP" run a.yaml --set model=me/nothing --db other.db
expect_status 2; expect_err 'is HF_ENDPOINT a Hugging Face Hub?'
finish
