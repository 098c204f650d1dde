#!/usr/bin/env bash
# A database that the sweep of 12aba00 made (version 3, cards without digests), with its artifacts: read by every reader as
# it is, brought forward by the first `sweep run`, and nothing in it computed again. tests/old_database has it.
. "$SOURCE_DIR/tests/lib.sh"
cp -r "$SOURCE_DIR/tests/old_database" old && chmod -R u+w old && cd old || exit 1
version() { od -An -j60 -N4 -tu1 results.db | tr -d ' '; }
# the columns that are compared, found by their names
numbers() {
	awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
		{ print $at["run"], $at["num_virtual_tokens"], $at["num_beams"], $at["max_new_tokens"], $at["dev_bleu"],
			$at["dev_sentence_bleu"], $at["status"], $at["seconds"] }'
}
same_numbers() {
	run "$SWEEP" report --format csv
	expect_status 0
	check [ "$(numbers <<<"$OUT")" = "$(numbers <expected.csv)" ]
}

# readers: the numbers of then, and the file as it was
before=$(sha256sum results.db)
same_numbers
for number in 1 8; do
	run "$SWEEP" show "$number"
	expect_status 0
	expect_out "dev_bleu"
done
run "$SWEEP" compare 1 2
expect_status 0
run "$SWEEP" status
expect_status 0
run "$SWEEP" check
expect_status 0
expect_out "results.db is whole: 9 artifacts"
check [ "$(sha256sum results.db)" = "$before" ]
check [ "$(find . -name 'results.db?*' | wc -l)" -eq 0 ]
check [ "$(version)" = 0003 ]

# the scheduler: nothing to do, which a runner that is none would not survive
SWEEP_RUNNER=/nonexistent run "$SWEEP" run sweep.yaml
expect_status 0
expect_out "all 8 runs are done"
check [ "$(version)" -gt 3 ] # brought to the present one
same_numbers
run "$SWEEP" check
expect_status 0
expect_out "results.db is whole: 9 artifacts"

# with the folder alone: a new database, and nothing computed either
mv results.db then.db
SWEEP_RUNNER=/nonexistent run "$SWEEP" run sweep.yaml
expect_status 0
expect_out "all 8 runs are done"
mv then.db results.db

# damage is found in what has no digests yet, too
adapter=$(dirname results.artifacts/*/adapter_config.json)
cp -r "$adapter" kept
truncate -s 1000 "$adapter/adapter_model.safetensors"
run "$SWEEP" check
expect_status 1
expect_out "adapter_model.safetensors"
rm -r "$adapter"
mv kept "$adapter"

# its adapter serves new searches
run "$SWEEP" run sweep.yaml --set num_beams=2 --set num_virtual_tokens=2 --quiet
expect_status 0
expect_out "all 2 runs are done, 1 job"
finish
