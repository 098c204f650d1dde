#!/usr/bin/env bash
# Lays the code out as .clang-format says.
set -eu
cd "$(dirname "$0")/.."
find src runner tests bench -name '*.[ch]' -print0 | xargs -0 clang-format -i
