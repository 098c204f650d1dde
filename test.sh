#!/usr/bin/env bash
# test.sh - installs what is missing, builds, runs every test: once as users run it (release), once under
# AddressSanitizer and UBSan. Ends with one line: N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "$0")"
. tools/packages.sh

need_packages $BUILD_PACKAGES sqlite3 libcmocka-dev clang-format python3 || exit 1

passed=0 failed=0 skipped=0
for preset in release asan; do
	echo "== $preset"
	SECONDS=0
	build_preset "$preset" || exit 1
	echo "built in ${SECONDS} s"
	report=build/$preset/ctest.txt
	ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" 2>&1 | tee "$report"
	skips=$(grep -c '\*\*\*Skipped' "$report")
	line=$(grep -E 'tests? passed, .* tests? failed out of' "$report")
	all=$(sed -E 's/.* out of ([0-9]+).*/\1/' <<<"$line")
	bad=$(sed -E 's/.*, ([0-9]+) tests? failed.*/\1/' <<<"$line")
	[ -n "$all" ] && [ -n "$bad" ] || { echo "ctest said nothing of its results" >&2; exit 1; }
	[ "$all" -gt 0 ] || { echo "no test was found" >&2; exit 1; }
	passed=$((passed + all - bad - skips)) failed=$((failed + bad)) skipped=$((skipped + skips))
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
