#!/bin/bash
# Runs every live comparison with the pinned Python packages, and prints one table: what docs/NUMERICS.md quotes.
#
#     tools/compare_all.sh            full size, about half an hour on two cores
#     tools/compare_all.sh quick      the same comparisons on less data, about five minutes
#
# PYTHON must have the versions of tools/theirs.py; BUILD is the build folder (build/release), with its tests; bench/README.md
# has the rest. Exit status 1 when a comparison failed, 77 when there is no such Python.
set -u
cd "$(dirname "$0")/.." || exit 1
. tools/python.sh
export BUILD=${BUILD:-$PWD/build/release}
export SWEEP=$BUILD/sweep SWEEP_RUNNER=$BUILD/sweep-runner SWEEP_HOME=$PWD GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}
size=${1:-full}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! PYTHONPATH=tools find_python 'import theirs'; then
	echo "skipped: needs the pinned packages of tools/theirs.py, not $why" >&2
	exit 77
fi
failed=0

# compare NAME COMMAND...: the lines that it prints, the time that it took, and whether it found all within its limits.
compare() {
	local name=$1 start=$SECONDS status=0
	shift
	"$PYTHON" "$@" >"$work/out" 2>"$work/err" || status=$?
	local verdict=ok
	if [ $status -ne 0 ]; then
		verdict="FAILED ($status)"
		failed=1
	fi
	printf '== %s: %s, %d s\n' "$name" "$verdict" $((SECONDS - start))
	sed 's/^/   /' "$work/out"
	[ $status -eq 0 ] || tail -n 5 "$work/err" | sed 's/^/   /'
}

if [ "$size" = quick ]; then
	sets=2000 inputs=4 decode_inputs=12 minutes=2 adapters=3 draws=100
else
	sets=20000 inputs=16 decode_inputs=300 minutes=30 adapters=10 draws=1000
fi
shape=$BUILD/distilgpt2-shape
e2e() { (cd tools && "$PYTHON" -c 'import paths, sys; print(paths.E2E / sys.argv[1])' "$1"); } # ends with a sentence where it is not
train=$(e2e train.txt.gz) && dev=$(e2e dev.txt) || exit 1
searches='[{"num_beams": [1, 3, 5, 7], "max_new_tokens": [5, 20, 50], "length_penalty": [0.0, 1.0, 2.0, -1.0],
            "early_stopping": ["false", "true", "never"]},
           {"num_beams": [1, 5], "max_new_tokens": [50], "do_sample": true, "top_p": 0.9}]'

"$PYTHON" -c 'import platform, os; print(f"{platform.machine()}, {os.cpu_count()} cores,", end=" ")'
sed -n 's/^model name.*: //p;' /proc/cpuinfo | head -n 1
git log -1 --format='commit %h of %cs'
compare 'Tokenizer and BLEU' tools/goldens_text.py --live $sets
compare 'Logits, distilgpt2 shape' tools/compare_logits.py --inputs $inputs --folder "$shape"
compare 'Gradient, distilgpt2 shape' tools/compare_training.py --gradient --model "$shape" --train "$train"
compare 'Gradient, distilgpt2 shape, padded to 150' tools/compare_training.py --gradient --model "$shape" \
	--train "$train" --params '{"pad_to_length": 150}'
compare 'Gradient, demo model' tools/compare_training.py --gradient
compare 'Training, 50 steps' tools/compare_training.py
compare 'Training, 50 steps, projection' tools/compare_training.py \
	--params '{"prefix_projection": true, "learning_rate": 0.001, "warmup_steps": 5}'
compare 'Training, 50 steps, projection, padded to 150' tools/compare_training.py \
	--params '{"prefix_projection": true, "learning_rate": 0.001, "pad_to_length": 150}'
compare 'Dropout' tools/compare_training.py --dropout $draws
compare 'Decoding' tools/compare_decoding.py --adapter tests/golden/adapter --inputs sweeps/data/dev.txt \
	--inputs "$dev:200" --limit "$decode_inputs" --each 2 --workers 2 --minutes "$minutes" --grid "$searches"
compare 'Adapters' tools/compare_adapters.py --inputs $adapters
exit $failed
