#!/usr/bin/env bash
# The "only file that includes ..." rules of docs/ARCHITECTURE.md, and the arrows between layers.
set -u
cd "$SOURCE_DIR" || exit 1
bad=0
complain() { echo "$1"; bad=1; }

# only PATTERN FILES...: an include that matches PATTERN stands in files whose names match one of the globs, nowhere else
only() {
	pattern=$1; shift
	while IFS= read -r file; do
		ok=0
		for glob in "$@"; do
			# shellcheck disable=SC2254
			case "$file" in $glob) ok=1 ;; esac
		done
		[ $ok = 1 ] || complain "$file includes $pattern; only $* may"
	done < <(grep -rlE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$pattern" src runner)
}
only 'blis(/|\.h)' 'runner/gemm.c'
only 'sqlite3\.h' 'src/store*.c' 'src/store_internal.h'
only 'curl/' 'src/hub*.c' 'src/hub*.h'
only 'yaml\.h>' 'src/yaml.c'
only 'zlib\.h' 'runner/dataset.c'
only 'pcre2\.h' 'runner/tokenizer*.[ch]'
only 'openssl/' 'src/base/hash.c' 'src/hub*.c'

grep -rnE '\b(fork|vfork|posix_spawn|clone|clone3|system|popen) *\(' src runner --include='*.c' |
	grep -vE '^[^:]*exec_local\.c:' | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(\*|/\*|//)' | grep -vE '"[^"]*(fork|system)[^"]*"' |
	while IFS= read -r line; do echo "process made outside exec_local.c: $line"; done | grep . && bad=1
# sweep (src/) knows nothing of runner/, the runner nothing of src/ but base; base of neither
grep -rnE '#include "(gemm|ops|model|gpt2|tokenizer|dataset|decode|train|beam|sample|adapter|prefix)\.h"' src && complain "src/ includes the runner"
grep -rnE '#include "(plan|spec|points|sched|store|executor|cli|hub|report|yaml)[a-z_]*\.h"' runner && complain "runner/ includes src/"
grep -rnE '#include "\.\.' src runner && complain "an include goes up the tree"
grep -nE '(INSERT INTO|SELECT .* FROM|CREATE TABLE)' -r src --include='*.c' | grep -vE '^src/store' | grep -vE 'leaderboard' && complain "SQL outside store*.c"
# functions that are never right (STYLE): unbounded copies, and exit outside main
grep -rnE '\b(gets|strcpy|strcat|sprintf|vsprintf|strtok|atoi|atof) *\(' src runner --include='*.c' && complain "banned function"
grep -rnE '\b(exit|_exit|abort) *\(' src runner --include='*.c' | grep -vE '(src/base/mem\.c|src/exec_local\.c|main\.c):' |
	grep -vE '^[^:]+:[0-9]+:[[:space:]]*(\*|/\*|//)' && complain "exit outside main"
exit $bad
