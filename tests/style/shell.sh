#!/usr/bin/env bash
# Every script is clean by shellcheck, with .shellcheckrc's exceptions.
set -u
cd "$SOURCE_DIR" || exit 1
command -v shellcheck >/dev/null || { echo "skipped: shellcheck is not installed"; exit 77; }
find . -name build -prune -o -name .git -prune -o -name '*.sh' -print0 | xargs -0 shellcheck -f gcc
