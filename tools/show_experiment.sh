#!/usr/bin/env bash
# The whole path of sweeps/prefixtune.yaml where the real weights are not at hand: a fake Hub on 127.0.0.1 serves
# distilgpt2's exact shape with random weights as `distilgpt2`; `sweep run` fetches it, trains the three prefixes, decodes
# and scores the eight settings, on a small subset of E2E.
#
#     /opt/venv/bin/python bench/make_model.py        once: makes build/bench/distilgpt2-shape
#     tools/show_experiment.sh [PAIRS] [TABLES]       64 training pairs and 8 dev tables unless said otherwise
set -euo pipefail
cd "$(dirname "$0")/.."
export SOURCE_DIR=$PWD
SWEEP=${SWEEP:-$PWD/build/release/sweep}
model=$PWD/build/bench/distilgpt2-shape
[ -r "$model/model.safetensors" ] || { echo "first: python bench/make_model.py" >&2; exit 2; }
pairs=${1:-64} tables=${2:-8}
work=$(mktemp -d)
mkdir "$work/hub"
python3 tests/fake_hub.py --state "$work/hub" --seconds 900 --repo distilbert/distilgpt2="$model" \
	--rename distilgpt2=distilbert/distilgpt2 &
hub=$!
trap 'kill $hub 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do [ -e "$work/hub/port" ] && break; sleep 0.1; done
export HF_ENDPOINT="http://127.0.0.1:$(cat "$work/hub/port")" HF_HOME="$work/hf"
mkdir -p "$HF_HOME/assets/sweep/datasets"
cp -r ../shared/e2e "$HF_HOME/assets/sweep/datasets/"
cp sweeps/prefixtune.yaml "$work/"
cd "$work"
time "$SWEEP" run prefixtune.yaml --set "train_limit=$pairs" --set "dataset={name: e2e, eval: {dev: {limit: $tables}, small: }}"
"$SWEEP" report --top 0
