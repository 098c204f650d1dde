#!/usr/bin/env bash
# Every header compiles alone and opens with a comment that says what it is for.
set -u
cd "$SOURCE_DIR" || exit 1
bad=0
flags="$(pkg-config --cflags libcjson) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-psabi -iquote src -iquote runner"
for header in src/*.h src/*/*.h runner/*.h; do
	# shellcheck disable=SC2086
	${CC:-gcc} $flags -fsyntax-only -x c "$header" || { echo "$header does not compile alone"; bad=1; }
	head -c 3 "$header" | grep -q '^/\* ' || { echo "$header does not open with its purpose"; bad=1; }
done
exit $bad
