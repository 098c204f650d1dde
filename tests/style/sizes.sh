#!/usr/bin/env bash
# A file holds one idea: 1,000 lines at most here, a function 150 (docs/ARCHITECTURE.md; the aim is 800 and 80).
set -u
cd "$SOURCE_DIR" || exit 1
bad=0
while IFS= read -r file; do
	lines=$(wc -l <"$file")
	[ "$lines" -le 1000 ] || { echo "$file: $lines lines"; bad=1; }
	awk -v file="$file" '
		/^[a-zA-Z_].*\)$/ || /^[a-zA-Z_].*[,(]$/ { name = $0 }
		/^\{$/ { start = NR }
		/^\}$/ { if (start && NR - start > 150) { print file ": a function of " NR - start " lines: " name; bad = 1 } start = 0 }
		END { exit bad }' "$file" || bad=1
done < <(find src runner tests -name '*.[ch]')
exit $bad
