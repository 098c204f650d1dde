#!/usr/bin/env bash
# The code is as .clang-format (version 14, Debian 12's) lays it out. `tools/format.sh` mends it.
set -u
cd "$SOURCE_DIR" || exit 1
command -v clang-format >/dev/null || { echo "skipped: clang-format is not installed"; exit 77; }
clang-format --version | grep -q 'version 14' || { echo "skipped: needs clang-format 14, found $(clang-format --version)"; exit 77; }
find src runner tests bench -name '*.[ch]' -print0 2>/dev/null | xargs -0 clang-format --dry-run --Werror
