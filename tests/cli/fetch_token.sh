#!/usr/bin/env bash
# The token: where it comes from, that it opens what needs it, and that no other host ever sees it.
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/hub_lib.sh"

hub_start --repo me/private="$DEMO" --rename old=me/private --files /e2e="$DEMO"
# every request to 127.0.0.1 has the token, none to localhost (the CDN of this Hub) has one
kept_home() {
	check [ "$(grep '"host": "127' hub/requests | grep -cv '"authorization": "Bearer hf_secret"')" -eq 0 ]
	check [ "$(grep '"host": "localhost' hub/requests | grep -c '"authorization": null')" -eq "$(grep -c '"host": "localhost' hub/requests)" ]
	check [ "$(grep -c '"host": "localhost' hub/requests)" -ge 1 ]
}

LOCKED='[{"path": "resolve", "do": "auth", "token": "hf_secret", "status": 401, "headers": {"X-Error-Code": "RepoNotFound"}}]'
fresh "$LOCKED"
run "$SWEEP" fetch me/private; refused 'needs a token in HF_TOKEN'
fresh "$LOCKED"
run env HF_TOKEN=hf_secret "$SWEEP" fetch me/private; expect_status 0; kept_home
check [ "$(grep -rl hf_secret "$HF_HOME" | wc -l)" -eq 0 ]

# from the other places, in their order; white space around it is dropped; a renamed repository keeps it
fresh "$LOCKED"; run env HUGGING_FACE_HUB_TOKEN=" hf_secret
" "$SWEEP" fetch old; expect_status 0; kept_home
fresh "$LOCKED"; mkdir -p "$HF_HOME"; echo hf_secret >"$HF_HOME/token"
run "$SWEEP" fetch me/private; expect_status 0; kept_home
fresh "$LOCKED"; echo hf_secret >"$WORK/my token"
run env HF_TOKEN_PATH="$WORK/my token" "$SWEEP" fetch me/private; expect_status 0
fresh "$LOCKED"; run env HF_TOKEN=hf_wrong HUGGING_FACE_HUB_TOKEN=hf_secret "$SWEEP" fetch me/private
refused 'shows no model `me/private`'; expect_err 'the token has no access'
fresh "$LOCKED"; run env HF_TOKEN=hf_secret HF_HUB_DISABLE_IMPLICIT_TOKEN=1 "$SWEEP" fetch me/private; refused 'needs a token'
check [ "$(grep -c Bearer hub/requests)" -eq 0 ]

# away and back again: the token does not come back with it
fresh '[{"method": "GET", "path": "cdn/[0-9a-f]*[?]sig", "do": "redirect", "location": "http://127.0.0.1:{port}/cdn/back", "times": 1}]'
run env HF_TOKEN=hf_secret "$SWEEP" fetch me/private
check [ "$(grep -c '/cdn/back' hub/requests)" -eq 1 ]
check [ "$(grep '/cdn/back' hub/requests | grep -c '"authorization": null')" -eq 1 ]
# another port is another origin: a second Hub there must not see it
mkdir second
python3 "$SOURCE_DIR/tests/fake_hub.py" --state second --repo me/private="$DEMO" --seconds 120 &
second=$!
trap 'kill $second 2>/dev/null; hub_stop; rm -rf "$WORK"' EXIT
for _ in $(seq 200); do [ -e second/port ] && break; sleep 0.05; done
fresh '[{"method": "GET", "path": "vocab.json", "do": "redirect", "location": "http://127.0.0.1:'"$(cat second/port)"'/me/private/resolve/main/vocab.json", "times": 1}]'
run env HF_TOKEN=hf_secret "$SWEEP" fetch me/private; expect_status 0
check [ "$(grep -c '"authorization": null' second/requests)" -eq 1 ]; check [ "$(grep -c Bearer second/requests)" -eq 0 ]

# the pinned data come from elsewhere: no token, even on the same host
fresh
run env HF_TOKEN=hf_secret SWEEP_E2E_ENDPOINT="$HF_ENDPOINT/e2e" "$SWEEP" fetch e2e
expect_status 2; check [ "$(grep -c Bearer hub/requests)" -eq 0 ]; check [ -s hub/requests ]

# what the Hub says of tokens, in words
fresh '[{"do": "status", "status": 403, "headers": {"X-Error-Code": "GatedRepo"}}]'
run "$SWEEP" fetch me/private; refused "the model \`me/private\` is gated: accept its conditions at $HF_ENDPOINT/me/private"
run env HF_TOKEN=hf_secret "$SWEEP" fetch me/private; refused "the present token has no access"
fresh '[{"do": "status", "status": 401, "headers": {"X-Error-Code": "GatedRepo"}}]'
run "$SWEEP" fetch me/private; refused "is gated"
fresh '[{"do": "status", "status": 401, "headers": {"X-Error-Message": "Invalid credentials in Authorization header"}}]'
run env HF_TOKEN=hf_secret "$SWEEP" fetch me/private; refused "does not accept the token"
fresh '[{"do": "status", "status": 403, "headers": {"X-Error-Message": "Access to this resource is disabled."}}]'
run "$SWEEP" fetch me/private; refused "403: Access to this resource is disabled."
fresh '[{"do": "status", "status": 404}]'
run "$SWEEP" fetch me/private; refused "is HF_ENDPOINT a Hugging Face Hub?"
# ... and after the HEAD, at the CDN
fresh '[{"path": "cdn", "do": "status", "status": 403}]'
run "$SWEEP" fetch me/private; refused_late 'refuses access to the model `me/private` (403'
finish
