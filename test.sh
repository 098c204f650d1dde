#!/usr/bin/env bash
# test.sh - installs what is missing, builds, runs every test: once as users run it (release), once under
# AddressSanitizer and UBSan. Ends with one line: N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
. tools/packages.sh

need_packages "${BUILD_PACKAGES[@]}" sqlite3 libcmocka-dev clang-format shellcheck python3 || exit 1

passed=0 failed=0 skipped=0 status=0
for preset in release asan; do
	echo "== $preset"
	SECONDS=0
	build_preset "$preset" || exit 1
	echo "built in ${SECONDS} s"
	report=$PWD/build/$preset/ctest.xml
	rm -f "$report"
	ctest --test-dir "build/$preset" --output-on-failure --output-junit "$report" -j "$(nproc)" || status=1
	count() { grep -oE "$1=\"[0-9]+\"" "$report" | head -n 1 | tr -dc 0-9; } # of the head's <testsuite ...>
	all=$(count tests) bad=$(count failures) skips=$(count skipped)
	[ "${all:-0}" -gt 0 ] && [ -n "$bad" ] && [ -n "$skips" ] || { echo "no test was run" >&2; exit 1; }
	passed=$((passed + all - bad - skips)) failed=$((failed + bad)) skipped=$((skipped + skips))
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$status" -eq 0 ]
