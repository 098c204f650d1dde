#!/usr/bin/env bash
# The whole path of sweeps/prefixtune.yaml where the real weights are not at hand: a fake Hub on 127.0.0.1 serves
# distilgpt2's exact shape with random weights as `distilgpt2`; `sweep run` fetches it, trains the three prefixes, decodes
# and scores the eight settings, on a small subset of E2E.
#
#     python3 bench/make_model.py                     once, with PyTorch and transformers: build/bench/distilgpt2-shape
#     tools/show_experiment.sh [PAIRS] [TABLES]       64 training pairs and 8 dev tables unless said otherwise
#
# The data: `sweep fetch e2e`, or E2E_DIR names its folder (bench/README.md).
set -euo pipefail
cd "$(dirname "$0")/.."
export SOURCE_DIR=$PWD
SWEEP=${SWEEP:-$PWD/build/release/sweep}
model=${BENCH_DIR:-$PWD/build/bench}/distilgpt2-shape
[ -r "$model/model.safetensors" ] || { echo "$model is not there: \`python3 bench/make_model.py\` makes it (with PyTorch and transformers)" >&2; exit 2; }
train=$(cd tools && python3 -c 'import paths; print(paths.E2E / "train.txt.gz")')
e2e=$(dirname "$train")
pairs=${1:-64} tables=${2:-8}
work=$(mktemp -d)
mkdir "$work/hub"
python3 tests/fake_hub.py --state "$work/hub" --seconds 900 --repo distilbert/distilgpt2="$model" \
	--rename distilgpt2=distilbert/distilgpt2 &
hub=$!
trap 'kill $hub 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do [ -e "$work/hub/port" ] && break; sleep 0.1; done
HF_ENDPOINT="http://127.0.0.1:$(cat "$work/hub/port")"
export HF_ENDPOINT HF_HOME="$work/hf"
mkdir -p "$HF_HOME/assets/sweep/datasets/e2e"
cp "$e2e"/{train.txt.gz,dev.txt,dev.out,small.txt,small.out} "$HF_HOME/assets/sweep/datasets/e2e/"
cp sweeps/prefixtune.yaml "$work/"
cd "$work"
time "$SWEEP" run prefixtune.yaml --set "train_limit=$pairs" --set "dataset={name: e2e, eval: {dev: {limit: $tables}, small: }}"
"$SWEEP" report --top 0
