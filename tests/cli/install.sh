#!/usr/bin/env bash
# What `cmake --install` puts somewhere works from there, and its README leads to what is there.
. "$SOURCE_DIR/tests/lib.sh"
command -v cmake >/dev/null || skip "cmake is not here"
ROOT="$WORK/pre fix"
run cmake --install "$BUILD_DIR" --prefix "$ROOT"
expect_status 0
unset SWEEP_HOME SWEEP_RUNNER
export HF_HUB_OFFLINE=1 HF_HOME="$WORK/hf"

run "$ROOT/bin/sweep" run "$ROOT/share/sweep/sweeps/beam_grid.yaml" --dry-run
expect_status 0
expect_out "36 runs"
# the E2E data is not here: the sentence says how it comes, and no path of the source tree
for file in e2e_small prefixtune; do
	run "$ROOT/bin/sweep" run "$ROOT/share/sweep/sweeps/$file.yaml" --dry-run
	expect_err "sweep fetch"
	check [ "${ERR/shared/}" = "$ERR" ]
done
README="$ROOT/share/doc/sweep/README.md"
check [ -s "$README" ]
while read -r link; do
	case $link in http*) continue ;; esac
	check [ -e "$ROOT/share/doc/sweep/${link%%#*}" ]
done < <(grep -oE '\]\([^)]*\)' "$README" | sed 's/^](//; s/)$//')
# a link's image and a folder above were not lost on the way: everything but the links is as it was
check [ "$(sed -E 's/\]\([^)]*\)//g; s/\[//g' "$README" | cksum)" = "$(sed -E 's/\]\([^)]*\)//g; s/\[//g' "$SOURCE_DIR/README.md" | cksum)" ]
finish
