#!/usr/bin/env bash
# replay.sh TARGET PROGRAM - runs PROGRAM (TARGET's function with replay.c) on everything that the fuzzer begins with.
set -uo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/scratch"
"$SOURCE_DIR/tests/fuzz/seeds.sh" "$1" "$work/seeds" && TMPDIR=$work/scratch "$2" "$work/seeds"/*
