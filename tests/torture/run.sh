#!/usr/bin/env bash
# run.sh [--minutes M] [--seed N] - all trials of this folder, as many parts at a time as there are cores, and a table of
# tries and outcomes. A failure prints the one command that repeats it. The last line is for ./test.sh:
# `torture: N passed, N failed, N skipped` (parts). Needs ./test.sh's build/release, and build/asan for hostile files.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
export SOURCE_DIR=$PWD BUILD_DIR=${BUILD_DIR:-$PWD/build/release}
minutes=2 seed=1
while [ $# -gt 0 ]; do
	case "$1" in
	--minutes) minutes=$2 ;;
	--seed) seed=$2 ;;
	*) echo "usage: tests/torture/run.sh [--minutes M] [--seed N]" >&2; exit 2 ;;
	esac
	shift 2 || exit 2
done
# name  program  what is done to the programs
parts=(
	"signals|signals.py|signals at random times to scheduler, workers, groups"
	"calls|calls.py|the n-th malloc, write, fsync, rename, open, mmap, fork, pipe, exec fails"
	"hostile_files|hostile_files.py|mutated model, data, sweep and database files, ASan build"
	"hostile_hub|hostile_hub.py|a Hub that lies, drips, breaks off"
	"limits|limits.py|disk full, ulimit -f -n -u -v, read-only, somebody else's files"
	"clock|clock.py|the time of day jumps"
)
slots=$(nproc)
[ "$slots" -le ${#parts[@]} ] || slots=${#parts[@]}
rounds=$(((${#parts[@]} + slots - 1) / slots))
seconds=$(awk -v m="$minutes" -v r="$rounds" 'BEGIN { printf "%d", m * 60 / r }')
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
part() { # PROGRAM: its output and status into $out
	local run=(python3)
	[ "${1##*.}" = py ] || run=(bash)
	"${run[@]}" "tests/torture/$1" --seconds "$seconds" --seed "$seed" >"$out/$1" 2>&1 </dev/null
	echo $? >"$out/$1.status"
}
begun=$SECONDS
for row in "${parts[@]}"; do
	program=$(cut -d'|' -f2 <<<"$row")
	[ -f "tests/torture/$program" ] || continue
	while [ "$(jobs -rp | wc -l)" -ge "$slots" ]; do wait -n; done
	part "$program" &
done
wait
passed=0 failed=0 skipped=0
table=$(printf '%-14s %7s %9s  %s' part tries failures 'what is done')
for row in "${parts[@]}"; do
	IFS='|' read -r name program what <<<"$row"
	[ -f "$out/$program.status" ] || continue
	status=$(cat "$out/$program.status")
	grep '^FAIL ' "$out/$program"
	grep '^  ' "$out/$program" # outcomes
	last=$(tail -n 1 "$out/$program")
	tries=$(grep -oE 'tries=[0-9]+' <<<"$last" | cut -d= -f2) failures=$(grep -oE 'failures=[0-9]+' <<<"$last" | cut -d= -f2)
	if [ "$status" -eq 77 ]; then
		skipped=$((skipped + 1))
		what=$last
	elif [ "$status" -eq 0 ] && [ "${tries:-0}" -gt 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		[ -n "$tries" ] || { echo "FAIL $name ends with status $status before its last line:"; tail -n 15 "$out/$program"; }
	fi
	table+=$'\n'$(printf '%-14s %7s %9s  %s' "$name" "${tries:--}" "${failures:--}" "$what")
done
echo
echo "$table"
echo
echo "seed $seed, $seconds s a part, $slots at a time, $((SECONDS - begun)) s in all"
echo "torture: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
