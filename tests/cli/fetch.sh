#!/usr/bin/env bash
# `sweep fetch`: the shared cache as huggingface_hub lays it out, what is asked of the Hub, and what it refuses.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/hub_lib.sh"

mkdir -p two && cp "$DEMO"/config.json "$DEMO"/tokenizer.json two/ && echo '{}' >two/model.safetensors.index.json
mkdir -p bin && cp "$DEMO"/config.json "$DEMO"/tokenizer.json bin/ && echo x >bin/pytorch_model.bin
mkdir -p mute && cp "$DEMO"/config.json "$DEMO"/model.safetensors mute/
mkdir -p none && echo hello >none/README.md
mkdir -p old && cp "$DEMO"/config.json "$DEMO"/vocab.json "$DEMO"/merges.txt "$DEMO"/model.safetensors old/
hub_start --repo distilbert/distilgpt2="$DEMO" --rename distilgpt2=distilbert/distilgpt2 --repo me/old=old \
	--repo me/two=two --repo me/bin=bin --repo me/mute=mute --repo me/none=none

# a renamed repository, from nothing: folder on stdout, links into blobs, the commit in refs/main without a newline
fresh
run "$SWEEP" fetch distilgpt2
expect_status 0
ROOT="$HF_HOME/hub/models--distilgpt2"
COMMIT=$(cat "$ROOT/refs/main")
check [ "$OUT" = "$ROOT/snapshots/$COMMIT" ]
check [ "$(wc -c <"$ROOT/refs/main")" -eq 40 ]
for file in config.json generation_config.json tokenizer_config.json tokenizer.json vocab.json merges.txt model.safetensors; do
	check cmp "$OUT/$file" "$DEMO/$file"
	check [ "$(dirname "$(readlink "$OUT/$file")")" = ../../blobs ]
done
check [ "$(basename "$(readlink "$OUT/model.safetensors")")" = "$(sha256sum <"$DEMO/model.safetensors" | cut -d' ' -f1)" ]
check [ "$(basename "$(readlink "$OUT/vocab.json")")" = "$({ printf 'blob %d\0' "$(stat -c %s "$DEMO/vocab.json")"; cat "$DEMO/vocab.json"; } | sha1sum | cut -d' ' -f1)" ]
check [ -z "$(find "$HF_HOME" -name '*.incomplete' -o -name '*.tmp.*')" ]
expect_err "fetched model.safetensors"
check [ "$(grep -c '"encoding": "identity"' hub/requests)" -eq "$(wc -l <hub/requests)" ]

# again: one question (is it still the same commit?), no transfer; nothing is said
: >hub/requests
run "$SWEEP" fetch distilgpt2
expect_status 0; expect_no_err
check [ "$(asked GET '')" -eq 0 ]
check [ "$(asked HEAD /resolve/main/)" -eq 2 ]
check [ "$(wc -l <hub/requests)" -eq 2 ]

# a commit that is here needs no network at all
: >hub/requests
run "$SWEEP" fetch distilgpt2 --revision "$COMMIT"
expect_status 0; check [ "$OUT" = "$ROOT/snapshots/$COMMIT" ]; check [ ! -s hub/requests ]

# offline: the cache or a sentence, never a request
run env HF_HUB_OFFLINE=1 "$SWEEP" fetch distilgpt2
expect_status 0; check [ "$OUT" = "$ROOT/snapshots/$COMMIT" ]
run env TRANSFORMERS_OFFLINE=YES "$SWEEP" fetch me/old
refused 'the model `me/old` is not in the cache'; expect_err 'HF_HUB_OFFLINE forbids the network'
run env HF_HUB_OFFLINE=on "$SWEEP" fetch distilgpt2 --revision v2
refused 'has no revision `v2`'
check [ ! -s hub/requests ]

# a damaged file in the cache is found out and fetched again
blob=$(readlink -f "$ROOT/snapshots/$COMMIT/merges.txt")
printf X | dd of="$blob" bs=1 seek=100 conv=notrunc status=none
run "$SWEEP" fetch distilgpt2
expect_status 0; expect_err 'merges.txt of `distilgpt2` in the cache is damaged'; check cmp "$OUT/merges.txt" "$DEMO/merges.txt"
# ... and a broken link, and a link that is gone
rm "$blob"
run "$SWEEP" fetch distilgpt2 --revision "$COMMIT"
expect_status 0; check cmp "$OUT/merges.txt" "$DEMO/merges.txt"
rm "$blob" "$ROOT/snapshots/$COMMIT/vocab.json"
run "$SWEEP" fetch distilgpt2
expect_status 0; check cmp "$OUT/merges.txt" "$DEMO/merges.txt"; check cmp "$OUT/vocab.json" "$DEMO/vocab.json"

# no tokenizer.json: vocab.json and merges.txt do; what the Hub does not have is remembered by an empty file
fresh
run "$SWEEP" fetch me/old
expect_status 0
ROOT="$HF_HOME/hub/models--me--old"
check [ "$(ls -A "$ROOT/.no_exist/$(cat "$ROOT/refs/main")" | sort | tr '\n' ' ')" = "generation_config.json tokenizer.json tokenizer_config.json " ]
: >hub/requests
run "$SWEEP" fetch me/old
check [ "$(wc -l <hub/requests)" -eq 1 ]

# revisions: a short commit becomes a ref of its own, slashes arrive quoted and make folders
run "$SWEEP" fetch distilgpt2 --revision "${COMMIT:0:7}"
expect_status 0; check [ "$(cat "$HF_HOME/hub/models--distilgpt2/refs/${COMMIT:0:7}")" = "$COMMIT" ]
run "$SWEEP" fetch distilgpt2 --revision refs/pr/1
expect_status 0; check [ -f "$HF_HOME/hub/models--distilgpt2/refs/refs/pr/1" ]; check [ "$(asked HEAD /resolve/refs%2Fpr%2F1/)" -eq 2 ]

# what cannot be used is said in one sentence, before the weights are fetched
fresh
run "$SWEEP" fetch distilgpt2 --revision v9; refused 'the model `distilgpt2` has no revision `v9`'
run "$SWEEP" fetch me/nothing; refused 'shows no model `me/nothing`: the name is wrong, or it is private'
run "$SWEEP" fetch me/none; refused '`me/none` has no config.json'
run "$SWEEP" fetch me/two; refused_late 'several files (model.safetensors.index.json)'
run "$SWEEP" fetch me/bin; refused_late '`me/bin` has no model.safetensors'
run "$SWEEP" fetch me/mute; refused_late 'neither tokenizer.json nor vocab.json'
check [ "$(asked GET cdn)" -eq 0 ]
run env HF_HUB_OFFLINE=1 "$SWEEP" fetch me/bin; refused 'the cache'

# the command line and the environment
run "$SWEEP" fetch; refused 'takes one name'
run "$SWEEP" fetch a b; refused 'takes one name'
run "$SWEEP" fetch ../etc; refused '`../etc` is no name on the Hub'
run "$SWEEP" fetch a/b/c; refused 'is no name on the Hub'
run "$SWEEP" fetch a--b; refused 'is no name on the Hub'
run "$SWEEP" fetch distilgpt2 --revision ../../x; refused '`../../x` is no revision'
run "$SWEEP" fetch demo; refused '`demo` comes with sweep'
run env HF_ENDPOINT=ftp://x "$SWEEP" fetch distilgpt2; refused 'HF_ENDPOINT is `ftp://x`'
run env HF_HUB_ETAG_TIMEOUT=soon "$SWEEP" fetch distilgpt2; refused 'HF_HUB_ETAG_TIMEOUT is `soon`'
run env HF_TOKEN="hf_a b" "$SWEEP" fetch distilgpt2; refused 'a character that no token has'

# where the cache is
fresh
run env HF_HUB_CACHE=~/cache1 "$SWEEP" fetch me/old; check [ "${OUT#"$HOME"/cache1/models--me--old/snapshots/}" != "$OUT" ]
run env HF_HOME='~/h' "$SWEEP" fetch me/old; check [ "${OUT#"$HOME"/h/hub/models--me--old/}" != "$OUT" ]
run env -u HF_HOME XDG_CACHE_HOME="$WORK/xdg" "$SWEEP" fetch me/old; check [ "${OUT#"$WORK"/xdg/huggingface/hub/}" != "$OUT" ]
run env TRANSFORMERS_CACHE="$WORK/tc" HF_HUB_CACHE="$WORK/no" "$SWEEP" fetch me/old; check [ "${OUT#"$WORK"/tc/models--}" != "$OUT" ]
finish
