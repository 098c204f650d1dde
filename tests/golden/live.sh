#!/usr/bin/env bash
# live.sh - a minute of tools/compare_all.sh, where the pinned Python packages are: gradient, training, decoding and
# adapters, both sides live. Skipped, and says so, where they are not.
set -u
export SWEEP SWEEP_RUNNER=$BUILD_DIR/sweep-runner BUILD=$BUILD_DIR SWEEP_HOME=$SOURCE_DIR GOMP_SPINCOUNT=1000
cd "$SOURCE_DIR" || exit 1
. tools/python.sh
if ! PYTHONPATH=tools find_python 'import theirs'; then
	echo "skipped: needs a Python with the versions of tools/theirs.py, not $why"
	exit 77
fi
failed=0
"$PYTHON" -B tools/compare_training.py --gradient || failed=1
"$PYTHON" -B tools/compare_training.py --params '{"train_limit": 30, "pad_to_length": 150}' || failed=1
# Sanitizers slow the rest beyond the time limit, and look at the same code in the golden tests.
[ -z "${SANITIZED:-}" ] || exit $failed
"$PYTHON" -B tools/compare_decoding.py --adapter tests/golden/adapter --limit 2 --grid \
	'{"num_beams": [1, 3], "max_new_tokens": [5, 20], "length_penalty": [0.0, 2.0], "early_stopping": ["true", "never"]}' || failed=1
"$PYTHON" -B tools/compare_adapters.py --inputs 1 || failed=1
exit $failed
