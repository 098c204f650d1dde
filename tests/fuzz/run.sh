#!/usr/bin/env bash
# run.sh - builds the fuzzers and runs them one after the other; prints a table of runs, seconds and findings.
#
#     tests/fuzz/run.sh                              every target, ten minutes each
#     tests/fuzz/run.sh --seconds 60 hub spec        two of them, a minute each
#     tests/fuzz/run.sh --seed 7 --keep DIR ...      another order of tries; corpora that grow in DIR
#
# A finding's input stays in DIR or the folder named at the end; `build/fuzz/tests/fuzz_TARGET FILE` repeats it. Exit
# status 1 when there was one. README.md beside it says what each target checks.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
seconds=600 seed=1 keep='' names=()
while [ $# -gt 0 ]; do
	case $1 in
	--seconds) seconds=$2; shift 2 ;;
	--seed) seed=$2; shift 2 ;;
	--keep) keep=$2; shift 2 ;;
	-*) echo "fuzz: unknown option $1; see the head of $0" >&2; exit 2 ;;
	*) names+=("$1"); shift ;;
	esac
done
[ ${#names[@]} -gt 0 ] || for file in tests/fuzz/fuzz_*.c; do
	name=${file##*/fuzz_}
	names+=("${name%.c}")
done
if ! log=$(cmake --preset fuzz 2>&1 && cmake --build build/fuzz --target "${names[@]/#/fuzz_}" 2>&1); then
	tail -n 30 <<<"$log" >&2
	exit 2
fi
case $keep in '' | /*) ;; *) keep=$PWD/$keep ;; esac
work=${keep:-$(mktemp -d)}
mkdir -p "$work"
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$scratch"' EXIT
export SOURCE_DIR=$PWD TMPDIR=$scratch
bad=0
printf '%-20s %12s %8s %9s  %s\n' target runs seconds findings corpus
for name in "${names[@]}"; do
	corpus=$work/$name
	tests/fuzz/seeds.sh "$name" "$work/seeds-$name" && mkdir -p "$corpus"
	case $name in # dictionaries that several share
	config | generation_config | adapter_config) dict=config ;;
	event | jsonl) dict=json ;;
	tokenizer_json | vocab | merges) dict=tokenizer ;;
	*) dict=$name ;;
	esac
	dict=tests/fuzz/$dict.dict
	options=(-seed="$seed" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=4096 -print_final_stats=1
		-artifact_prefix="$work/$name-")
	[ -e "$dict" ] && options+=(-dict="$dict")
	"build/fuzz/tests/fuzz_$name" "${options[@]}" "$corpus" "$work/seeds-$name" >"$work/$name.log" 2>&1
	status=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
	took=$(sed -nE 's/^Done [0-9]+ runs in ([0-9]+) second.*/\1/p' "$work/$name.log")
	found=$([ $status -eq 0 ] && echo 0 || echo 1)
	[ "$found" -eq 0 ] || bad=1
	printf '%-20s %12s %8s %9s  %s\n' "$name" "${runs:-?}" "${took:-?}" "$found" "$(find "$corpus" -type f | wc -l)"
	if [ "$found" -ne 0 ]; then
		grep -m 3 -E 'ERROR:|SUMMARY|BUG at|runtime error' "$work/$name.log"
		sed -n "s|^.*Test unit written to \(.*\)|repeat: SOURCE_DIR=. build/fuzz/tests/fuzz_$name \1|p" "$work/$name.log"
	fi
done
[ $bad -eq 0 ] && [ -z "$keep" ] && rm -rf "$work"
exit $bad
