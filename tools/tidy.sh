#!/usr/bin/env bash
# clang-tidy over everything, with .clang-tidy's checks. Minutes; not part of test.sh.
set -eu
cd "$(dirname "$0")/.."
cmake --preset dev >/dev/null
find src runner -name '*.c' -print0 | xargs -0 -P "$(nproc)" -n 4 clang-tidy --quiet -p build/dev
