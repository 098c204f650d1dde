#!/usr/bin/env bash
# gemm.c's loops around every micro-kernel that BLIS has for this CPU, and not only around the one it picks: some want C by
# rows (Haswell's 3, the generic ones 25), some by columns (Skylake-X's 0, Sandy Bridge's 4). What BLIS does not know or the CPU
# cannot run is left out.
. "$SOURCE_DIR/tests/lib.sh"
[ -x "$BUILD_DIR/tests/test_gemm" ] || skip "tests/test_gemm is not built"
[ -z "${SANITIZED:-}" ] || skip "needs the speed of a build without sanitizers"
ran=0
for id in 0 3 4 25; do
	BLIS_ARCH_TYPE=$id timeout 60 "$BUILD_DIR/tests/test_gemm" >out.txt 2>&1
	status=$?
	if [ $status -eq 0 ]; then
		ran=$((ran + 1))
	elif ! grep -qi 'illegal instruction\|libblis: ' out.txt; then
		check [ "kernels $id: $status" = "kernels $id: 0" ]
	fi
done
check [ $ran -ge 2 ]
finish
