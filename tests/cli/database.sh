#!/usr/bin/env bash
# results.db as a file that something is wrong with: every reader says one sentence and ends with status 2.
. "$SOURCE_DIR/tests/lib.sh"
MAKE="$BUILD_DIR/tests/test_store"
[ -x "$MAKE" ] || skip "the unit tests are not built: $MAKE is missing"
readers=("report" "report --best" "show 1" "compare 1 2" "status")

for command in "${readers[@]}"; do
	# shellcheck disable=SC2086
	run "$SWEEP" $command
	refused "there is no results.db"
	[ -e results.db ] && fail "a reader made results.db"
done

"$MAKE" --make "$WORK" grid 8 8 || exit 1
cp results.db good.db

for command in "${readers[@]}"; do
	# shellcheck disable=SC2086
	{
		run "$SWEEP" $command; expect_status 0; expect_no_err
		printf 'no database at all, only a text that is longer than a header, %0200d\n' 0 >text.db
		run "$SWEEP" $command --db text.db; refused "text.db is not a database of sweep"
		: >empty.db
		run "$SWEEP" $command --db empty.db; refused "empty.db is empty"
		run "$SWEEP" $command --db "$WORK"; refused "is not a plain file"
		run "$SWEEP" $command --db nowhere/x.db; refused "there is no nowhere/x.db"
		head -c 6000 good.db >cut.db
		run "$SWEEP" $command --db cut.db; refused "cut.db is damaged"
	}
done

# the middle overwritten: no crash, one sentence
cp good.db damaged.db
size=$(stat -c %s damaged.db)
for ((at = 4096; at < size; at += 4096)); do
	printf 'damage damage damage damage' | dd of=damaged.db bs=1 seek="$at" conv=notrunc status=none
done
for command in "${readers[@]}"; do
	# shellcheck disable=SC2086
	run "$SWEEP" $command --db damaged.db
	refused "damaged.db is damaged"
done

# a newer version: PRAGMA user_version stands at byte 60 of the header, big-endian
cp good.db newer.db
printf '\0\0\0\143' | dd of=newer.db bs=1 seek=60 conv=notrunc status=none
for command in "${readers[@]}"; do
	# shellcheck disable=SC2086
	run "$SWEEP" $command --db newer.db
	refused "newer.db is of version 99, newer than this sweep knows"
done

# read-only: readers do not mind
chmod 444 results.db
run "$SWEEP" report --best
expect_status 0
chmod 644 results.db

# names with everything that a shell or a URI could trip over
mkdir 'odd ?#% dir' && cp good.db 'odd ?#% dir/it'\''s.db'
run "$SWEEP" report --db 'odd ?#% dir/it'\''s.db'
expect_status 0
finish
