# shellcheck shell=bash
# hub_lib.sh - sourced after lib.sh by tests that need a Hub: tests/fake_hub.py on 127.0.0.1, and a cache of our own.
#
#     hub_start --repo distilgpt2="$DEMO"            a copy of runner/demo
#     rules '[{"method": "GET", "path": "cdn", "do": "break", "bytes": 1000, "times": 1}]'
#     run "$SWEEP" fetch distilgpt2; check [ "$(asked GET cdn)" -eq 2 ]
#     hub_stop     (also at exit)

command -v python3 >/dev/null || skip "python3 is missing, and the fake Hub needs it (its standard library alone)"
HUB_PID=
trap 'hub_stop; rm -rf "$WORK"' EXIT

hub_stop() {
	[ -n "$HUB_PID" ] && kill "$HUB_PID" 2>/dev/null && wait "$HUB_PID" 2>/dev/null
	HUB_PID=
}
hub_start() {
	hub_stop
	mkdir -p "$WORK/hub" && rm -f "$WORK/hub"/*
	python3 "$SOURCE_DIR/tests/fake_hub.py" --state "$WORK/hub" "$@" >"$WORK/hub.log" 2>&1 &
	HUB_PID=$!
	for _ in $(seq 200); do
		[ -e "$WORK/hub/port" ] && break
		sleep 0.05
	done
	PORT=$(cat "$WORK/hub/port") || { cat "$WORK/hub.log"; exit 1; }
	export HF_ENDPOINT="http://127.0.0.1:$PORT"
}
rules() { printf '%s\n' "$1" >"$WORK/hub/rules.new" && mv "$WORK/hub/rules.new" "$WORK/hub/rules.json"; }
fresh() { rm -rf "$HF_HOME"; : >"$WORK/hub/requests"; rules "${1:-[]}"; }
# asked METHOD REGEX: how many requests there were, by method and regular expression of the path
asked() { grep -E "\"method\": \"$1\"" "$WORK/hub/requests" | grep -cE "\"path\": \"[^\"]*$2"; }
# refused_late NEEDLE: as refused, after some files have been fetched (a line for each)
refused_late() { expect_status 2; expect_err "$1"; check [ "$(printf '%s\n' "$ERR" | grep -c '^sweep: ')" -eq 1 ]; }
# no variable of the caller's may lead anywhere else
for name in $(env | grep -oE '^(HF_|HUGGING|TRANSFORMERS_|PYTORCH_|XDG_CACHE|SWEEP_E2E|https?_proxy|HTTPS?_PROXY|all_proxy|ALL_PROXY|REQUESTS_CA|CURL_CA)[A-Za-z_0-9]*'); do
	unset "$name"
done
export no_proxy='*' HOME="$WORK/home" HF_HOME="$WORK/hf" LC_ALL=C
mkdir -p "$HOME"
DEMO="$WORK/demo"
cp -r "$SOURCE_DIR/runner/demo" "$DEMO"
