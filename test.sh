#!/usr/bin/env bash
# test.sh - installs what is missing, builds, runs every test as users run it (release), those again that can find
# something new under AddressSanitizer and UBSan, and two minutes of tests/torture with a fixed seed. Ends with one line:
# N passed, N failed, N skipped (a part of tests/torture counts as one).
set -uo pipefail
cd "$(dirname "$0")" || exit 1
. tools/packages.sh

need_packages "${BUILD_PACKAGES[@]}" sqlite3 libcmocka-dev clang-format shellcheck python3 || exit 1

passed=0 failed=0 skipped=0 status=0
# Style does not depend on the build; the others compare bytes or wait for processes, over code that the rest has run.
declare -A leave_out=([release]='^$' [asan]='^style/|^golden/|^faults/(same_bytes|deaf|scheduler_killed)$|^cli/blis_kernels$')
for preset in release asan; do
	echo "== $preset"
	SECONDS=0
	build_preset "$preset" || exit 1
	echo "built in ${SECONDS} s"
	report=$PWD/build/$preset/ctest.xml
	rm -f "$report"
	ctest --test-dir "build/$preset" --output-on-failure --output-junit "$report" -j "$(nproc)" \
		-E "${leave_out[$preset]}" || status=1
	count() { grep -oE "$1=\"[0-9]+\"" "$report" | head -n 1 | tr -dc 0-9; } # of the head's <testsuite ...>
	all=$(count tests) bad=$(count failures) skips=$(count skipped)
	[ "${all:-0}" -gt 0 ] && [ -n "$bad" ] && [ -n "$skips" ] || { echo "no test was run" >&2; exit 1; }
	passed=$((passed + all - bad - skips)) failed=$((failed + bad)) skipped=$((skipped + skips))
done
echo "== torture"
trials=$(mktemp)
tests/torture/run.sh --minutes 2 --seed 1 | tee "$trials" || status=1
counts=$(grep -oE '[0-9]+' <<<"$(tail -n 1 "$trials" | grep '^torture: ')" | tr '\n' ' ')
rm -f "$trials"
read -r all bad skips <<<"$counts"
[ -n "${skips:-}" ] || { echo "no trial was made" >&2; exit 1; }
passed=$((passed + all)) failed=$((failed + bad)) skipped=$((skipped + skips))
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$status" -eq 0 ]
