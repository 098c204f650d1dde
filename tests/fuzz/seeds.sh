#!/usr/bin/env bash
# seeds.sh TARGET OUT - what the fuzzer of TARGET begins with, into the folder OUT: its committed corpus and the files of
# other tests that are of its kind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
golden=$here/../golden
target=$1 out=$2
mkdir -p "$out"
n=0
take() { # FILE...
	for file in "$@"; do
		n=$((n + 1))
		[ "$(stat -c %s "$file")" -gt 300000 ] || cp "$file" "$out/seed-$n-$(basename "$file")"
	done
}
[ -d "$here/corpus_$target" ] && take "$here/corpus_$target"/*
case $target in
adapter_config) take "$golden"/*/adapter_config.json "$golden"/*/*/adapter_config.json "$golden"/*/*/*/adapter_config.json ;;
config) take "$golden"/models/*/config.json "$here"/../../runner/demo/config.json ;;
merges | vocab) take "$here/vocab/$target".* ;;
safetensors) take "$golden"/models/*/*.safetensors "$golden"/text/*.safetensors "$golden"/*/adapter_model.safetensors \
	"$golden"/text/*/adapter_model.safetensors ;;
spec) take "$here"/../../sweeps/*.yaml ;;
tokenizer) take "$here"/../../sweeps/data/small.txt "$here"/corpus_lines/* "$here"/../../README.md ;;
tokenizer_json) take "$golden"/text/tokenizer/tokenizer.json ;;
esac
