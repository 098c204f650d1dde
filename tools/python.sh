# shellcheck shell=bash
# python.sh - sourced by scripts that need a Python with packages: sets PYTHON, or fails and says why in $why.
#
#     . tools/python.sh
#     find_python 'import theirs' || { echo "skipped: $why"; exit 77; }
#
# PYTHON in the environment decides; else python3, else the virtual environment that containers usually have.

find_python() {
	local candidates=(python3 /opt/venv/bin/python) candidate
	[ -n "${PYTHON:-}" ] && candidates=("$PYTHON")
	for candidate in "${candidates[@]}"; do
		PYTHON=$candidate
		why=$("$candidate" -B -c "$1" 2>&1) && return 0
		why="$candidate (PYTHON names another): ${why##*$'\n'}"
	done
	return 1
}
