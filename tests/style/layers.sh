#!/usr/bin/env bash
# shellcheck disable=SC2086 # the columns of the tables are lists of words
# The arrows between rooms and the files that may use a library, as tables: whatever is not in them fails, a folder that
# nobody listed too. docs/ARCHITECTURE.md draws the same picture. An include without a folder stays in its own room.
set -u
cd "$SOURCE_DIR" || exit 1
bad=0
complain() { echo "$1"; bad=1; }

# room (folder)   the rooms it may include
arrows='
src/base          |
src/term          | base
src/plan          | base
src/store         | base plan
src/exec          | base
src/run           | base plan store term
src/report        | base plan store term
src/hub           | base term
src               | base plan store run report hub term
runner            | base
'

# library          the files that may include its header
libraries='
blis\.h            | runner/gemm.c
omp\.h             | runner/*.c
immintrin\.h       | runner/simd.h runner/attention.c runner/dropout.c
sqlite3\.h         | src/store/store_internal.h
curl/              | src/hub/hub.c src/hub/hub_http.c src/hub/hub_http.h
yaml\.h            | src/plan/yaml.c
zlib\.h            | src/base/lines.c
utf8proc\.h         | src/term/text.c
pcre2\.h           | runner/tokenizer.c runner/tokenizer_load.c runner/tokenizer_internal.h src/exec/values.c
openssl/           | src/base/hash.c src/hub/hub_cache.c
cjson/             | src/base/json.h
'

# What belongs to the C library and Linux; every other <header> must be in the table of libraries.
system='assert|ctype|dirent|errno|fcntl|fenv|float|inttypes|limits|linux/fs|locale|math|poll|pthread|pwd|sched|setjmp|signal|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|sys/[a-z_]+|termios|time|unistd|wchar'

# Functions and the files that may call them: what makes processes, what ends one, what is never right.
calls='
fork|vfork|posix_spawn|clone|clone3|system|popen          | src/run/exec_local.c src/exec/child.c
exit|_exit|abort                                          | src/main.c runner/main.c src/base/mem.c src/run/exec_local.c src/exec/child.c src/exec/main.c
gets|strcpy|strcat|sprintf|vsprintf|strtok|atoi|atof      |
'

in_list() { # FILE GLOBS...
	local file=$1 glob
	shift
	for glob in "$@"; do
		# shellcheck disable=SC2254
		case "$file" in $glob) return 0 ;; esac
	done
	return 1
}

set -f # the tables' globs are matched against names, not against the folder
while IFS= read -r file; do
	room=${file%/*}
	row=$(grep -E "^$room +\|" <<<"$arrows") || { complain "$file: the folder $room is no room: add it to the table"; continue; }
	while IFS= read -r included; do
		case "$included" in
		../* | */../*) complain "$file includes $included, which goes up the tree" ;;
		*/*)
			to=${included%/*}
			[ "src/$to" = "$room" ] && complain "$file names its own room in $included"
			[ -e "src/$included" ] || complain "$file includes $included, which is not there"
			in_list "$to" ${row#*|} || complain "$file includes $included: no arrow from $room to $to"
			;;
		*) [ -e "$room/$included" ] || complain "$file includes $included, which is not in its room" ;;
		esac
	done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]+)".*/\1/p' "$file")
	while IFS= read -r header; do
		grep -qE "^($system)\.h$" <<<"$header" && continue
		known=0
		while IFS='|' read -r library users; do
			library=${library//[[:space:]]/}
			[ -n "$library" ] || continue
			grep -qE "^$library" <<<"$header" || continue
			known=1
			in_list "$file" $users || complain "$file includes <$header>; only$users may"
		done <<<"$libraries"
		[ $known = 1 ] || complain "$file includes <$header>, which is in no table"
	done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*<([^>]+)>.*/\1/p' "$file")
done < <(find src runner -name '*.[ch]' | sort)

code() { # a file's lines without comments and texts, numbered
	sed -E 's/"([^"\\]|\\.)*"/""/g; s@//.*@@; s@/\*.*\*/@@; s@^[[:space:]]*(/\*|\*).*@@' "$1" | grep -nE "$2"
}
while IFS= read -r file; do
	while IFS= read -r row; do
		users=${row##*|} names=${row%|*}
		names=${names%"${names##*[![:space:]]}"}
		[ -n "$names" ] && ! in_list "$file" $users || continue
		while IFS= read -r line; do
			complain "$file:$line: only${users:- nobody} may call this"
		done < <(code "$file" "(^|[^a-zA-Z0-9_>.])($names) *\(")
	done <<<"$calls"
	in_list "$file" 'src/store/*' && continue
	while IFS= read -r line; do
		complain "$file:$line: SQL outside src/store"
	done < <(grep -nE '(INSERT INTO|SELECT .* FROM|CREATE TABLE|UPDATE .* SET|DELETE FROM)' "$file" | grep -vE 'leaderboard|^[0-9]+:[[:space:]]*(/\*|\*)')
done < <(find src runner -name '*.c' | sort)
exit $bad
