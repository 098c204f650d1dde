#!/usr/bin/env bash
# Generation defaults in the model's folder: used where the sweep file sets nothing, refused where we have not the thing.
. "$SOURCE_DIR/tests/lib.sh"
command -v python3 >/dev/null || skip "python3 reads the database"

head -n 3 "$SOURCE_DIR/sweeps/data/dev.txt" >dev.txt
mkdir own && for file in "$SOURCE_DIR"/runner/demo/*; do ln -s "$file" own/; done
rm own/generation_config.json
sweep_file() { # sweep_file NAME MODEL PARAMETERS
	printf 'name: %s\nmodel: %s\ndataset: {eval: {dev: {input: dev.txt}}}\nparameters: {num_virtual_tokens: 0, %s}\n' "$@" >"$1.yaml"
}
texts() { python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT input, text FROM outputs ORDER BY input").fetchall())' "$1"; }

sweep_file said demo 'num_beams: 5, max_new_tokens: 30, length_penalty: -3.0'
run "$SWEEP" run said.yaml --db said.db
expect_status 0
sweep_file usual demo 'max_new_tokens: 30'
run "$SWEEP" run usual.yaml --db usual.db
check [ "$(texts said.db)" != "$(texts usual.db)" ]

echo '{"eos_token_id": 3071, "num_beams": 5, "max_new_tokens": 30, "length_penalty": -3.0, "max_length": 99}' >own/generation_config.json
sweep_file folder ./own 'seed: 1'
run "$SWEEP" run folder.yaml --db folder.db
expect_status 0
expect_err "num_beams is 5 where the sweep file does not set it: the model's generation_config.json says so"
check [ "$(texts said.db)" = "$(texts folder.db)" ]
sweep_file wins ./own 'num_beams: 1, length_penalty: 1.0'
run "$SWEEP" run wins.yaml --db wins.db
expect_status 0
check [ "$(texts usual.db)" = "$(texts wins.db)" ]

echo '{"eos_token_id": 3071, "repetition_penalty": 1.5}' >own/generation_config.json
run "$SWEEP" run folder.yaml
refused '`repetition_penalty` is 1.5'
echo '{"eos_token_id": 3071, "max_length": 50}' >own/generation_config.json
run "$SWEEP" run folder.yaml
refused "folder.yaml: \`max_new_tokens\` is not set"
finish
