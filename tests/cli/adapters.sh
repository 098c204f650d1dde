#!/usr/bin/env bash
# What an adapter's config says: a base model that PEFT finds too, and what kind of adapter it is.
. "$SOURCE_DIR/tests/lib.sh"
command -v python3 >/dev/null || skip "python3 reads JSON"

head -n 20 "$SOURCE_DIR/sweeps/data/train.txt" >train.txt
head -n 2 "$SOURCE_DIR/sweeps/data/dev.txt" >dev.txt
ln -s "$SOURCE_DIR/runner/demo" own
base_of() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["base_model_name_or_path"])' "$1"; }
for model in demo ./own; do
	printf 'name: a\nmodel: %s\ndataset: {train: train.txt, eval: {dev: {input: dev.txt}}}\nparameters: {num_virtual_tokens: 2, max_new_tokens: 5}\n' $model >a.yaml
	rm -rf a.db a.artifacts
	run "$SWEEP" run a.yaml --db a.db
	expect_status 0
	config=$(ls a.artifacts/*/adapter_config.json)
	base=$(base_of "$config")
	check [ "${base#/}" != "$base" ]
	check [ -f "$base/config.json" ]
	cp -r "${config%/*}" adapter.${model#./}
	run "$SWEEP" generate --adapter adapter.${model#./} dev.txt
	expect_status 0
done
check cmp adapter.demo/adapter_model.safetensors adapter.own/adapter_model.safetensors

mkdir lora
echo '{"peft_type": "LORA", "base_model_name_or_path": "demo", "r": 8}' >lora/adapter_config.json
run "$SWEEP" generate --adapter lora dev.txt
refused 'lora/adapter_config.json: `peft_type` is `LORA`; only PREFIX_TUNING is supported'
finish
