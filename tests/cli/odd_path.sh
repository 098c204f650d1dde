#!/usr/bin/env bash
# A clone whose path has a space and a letter beyond ASCII: it configures, compiles and links, and sweeps run in it.
. "$SOURCE_DIR/tests/lib.sh"
command -v cmake >/dev/null || skip "cmake is not here"

CLONE="$WORK/pro ject ü/sweep"
mkdir -p "$CLONE" && cd "$CLONE" || exit 1
cp -r "$SOURCE_DIR"/{CMakeLists.txt,CMakePresets.json,README.md,LICENSE,reports,src,runner,tests,tools,bench,sweeps,docs,quickstart.sh,test.sh} . || exit 1

RUN_LIMIT=250
run cmake --preset release
expect_status 0
expect_no_err
run cmake --build build/release --target fake-runner
expect_status 0
expect_no_err

# The program itself took too long to build: this one's, in the place where it would be.
cp "$SWEEP" build/release/sweep
export SWEEP_RUNNER="$CLONE/build/release/tests/fake-runner" FAKE_LOG="$CLONE/made log" FAKE_MS=0
run build/release/sweep run sweeps/beam_grid.yaml
expect_status 0
expect_out "36 runs"
check [ "$(wc -l <"$FAKE_LOG")" -gt 3 ]
run build/release/sweep run sweeps/beam_grid.yaml --db "data base ü.db"
expect_status 0
check [ -s "data base ü.db" ]
check [ -d "data base ü.artifacts" ]
run build/release/sweep report --best --db "data base ü.db"
expect_status 0

# Neither does a script of ours lose the space: what quickstart.sh sources, and what the tests are given.
run bash -c '. tools/packages.sh; build_preset release fake-runner'
expect_status 0
run bash -c '. tools/python.sh; PYTHONPATH=tools find_python "import paths; assert str(paths.ROOT).endswith(\"ü/sweep\"), paths.ROOT"'
command -v python3 >/dev/null && expect_status 0
export SOURCE_DIR=$CLONE
for script in tests/style/sizes.sh tests/style/layers.sh tests/cli/params.sh; do
	run env SWEEP="$CLONE/build/release/sweep" BUILD_DIR="$CLONE/build/release" bash "$script"
	expect_status 0
done
finish
