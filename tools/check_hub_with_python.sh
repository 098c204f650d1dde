#!/usr/bin/env bash
# The cache is one and the same: what `sweep fetch` brings, Python finds offline, and the other way round, also half-way.
#
#     tools/check_hub_with_python.sh [SWEEP]      default build/release/sweep; PYTHON=... names the Python
#
# Needs huggingface_hub and transformers (any version that accepts GPT-2); no network: tests/fake_hub.py serves
# runner/demo as distilgpt2. Not part of test.sh for that reason; its last output is in docs/HUB.md.
set -eu
SOURCE_DIR=$(cd "$(dirname "$0")/.." && pwd)
export SOURCE_DIR
SWEEP=$(realpath "${1:-$SOURCE_DIR/build/release/sweep}")
. "$SOURCE_DIR/tools/python.sh"
find_python 'import huggingface_hub, transformers' ||
	{ echo "skipped: needs huggingface_hub and transformers, not $why"; exit 77; }
set +eu
. "$SOURCE_DIR/tests/lib.sh"
. "$SOURCE_DIR/tests/hub_lib.sh"
export HF_HUB_DISABLE_TELEMETRY=1 TRANSFORMERS_NO_ADVISORY_WARNINGS=1 HF_HUB_DISABLE_PROGRESS_BARS=1 HF_HUB_DISABLE_XET=1
say() { printf '%-78s %s\n' "$1" "$([ "$BAD" -eq "${seen:-0}" ] && echo ok || echo FAILED)"; seen=$BAD; }
python() { run "$PYTHON" -c "$1"; expect_status 0; }

"$PYTHON" -c 'import huggingface_hub as h, transformers as t; print("huggingface_hub", h.__version__, "transformers", t.__version__)'
mkdir -p set/data && echo one >set/README.md && head -c 1500000 /dev/urandom >set/data/part.bin
hub_start --repo distilbert/distilgpt2="$DEMO" --rename distilgpt2=distilbert/distilgpt2 --repo me/set=set

fresh
run "$SWEEP" fetch distilgpt2
expect_status 0; SNAPSHOT=$OUT; COMMIT=$(basename "$SNAPSHOT")
say "sweep fetches distilgpt2 (renamed on the Hub)"
HF_HUB_OFFLINE=1 python '
from huggingface_hub import try_to_load_from_cache, snapshot_download, scan_cache_dir
for name in ["config.json", "model.safetensors", "tokenizer.json", "vocab.json", "merges.txt"]:
    print(try_to_load_from_cache("distilgpt2", name))
print(snapshot_download("distilgpt2", local_files_only=True))
info = scan_cache_dir()
assert not info.warnings, info.warnings
print([(r.repo_id, r.nb_files, sorted(r.refs)) for r in info.repos])'
for file in config.json model.safetensors tokenizer.json vocab.json merges.txt; do expect_out "$SNAPSHOT/$file"; done
expect_out "('distilgpt2', 7, ['main'])"
say "try_to_load_from_cache, snapshot_download and scan_cache_dir find it offline"
HF_HUB_OFFLINE=1 python '
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tok = AutoModelForCausalLM.from_pretrained("distilgpt2"), AutoTokenizer.from_pretrained("distilgpt2")
ids = tok("name : Alimentum", return_tensors="pt")
out = model.generate(**ids, max_new_tokens=5, do_sample=False)
print(type(model).__name__, model.config.n_layer, len(tok), tok.is_fast, len(out[0]) > ids["input_ids"].shape[1])'
expect_out "GPT2LMHeadModel"; expect_out "True True"
say "AutoModelForCausalLM and AutoTokenizer.from_pretrained load it offline"
: >hub/requests
python '
from huggingface_hub import snapshot_download
print(snapshot_download("distilgpt2", allow_patterns=["*.json", "*.txt", "*.safetensors"]))'
expect_out "$SNAPSHOT"; check [ "$(asked GET cdn)" -eq 0 ]
say "snapshot_download online finds every blob in place and fetches none"

fresh
python 'from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; M.from_pretrained("distilgpt2"); T.from_pretrained("distilgpt2")'
say "Python fetches distilgpt2 from the same Hub"
: >hub/requests
run env HF_HUB_OFFLINE=1 "$SWEEP" fetch distilgpt2
expect_status 0; check [ "$OUT" = "$HF_HOME/hub/models--distilgpt2/snapshots/$COMMIT" ]; check [ ! -s hub/requests ]
say "sweep finds it offline, without a request"
run "$SWEEP" fetch distilgpt2
expect_status 0; check [ "$(asked GET .)" -eq 0 ]
say "sweep online has nothing to fetch"

fresh
python 'from huggingface_hub import hf_hub_download as d; d("distilgpt2", "config.json", revision="'"${COMMIT:0:7}"'")
try: d("distilgpt2", "chat_template.jinja")
except Exception as e: print(type(e).__name__)'
expect_out EntryNotFoundError
cp -a "$HF_HOME" "$WORK/of-python"
fresh
run "$SWEEP" fetch distilgpt2 --revision "${COMMIT:0:7}"
(cd "$WORK/of-python" && find hub -mindepth 1 \( -type f -o -type l \) -not -name '*.lock' -not -path '*chat_template*' -not -path '*/refs/main') | sort >of-python.txt
(cd "$HF_HOME" && find hub -mindepth 1 \( -type f -o -type l \) | sort) >of-sweep.txt
check [ -z "$(grep -vxFf of-sweep.txt of-python.txt)" ]
say "the same paths, links and refs on both sides"

# half-way: each resumes what the other left
SHA=$(sha256sum <"$DEMO/model.safetensors" | cut -d' ' -f1)
fresh '[{"method": "GET", "path": "cdn", "do": "slow", "rate": 2000000, "times": 1}]'
run timeout -s KILL 1.5 "$SWEEP" fetch distilgpt2
LEFT=$(stat -c %s "$HF_HOME/hub/models--distilgpt2/blobs/$SHA.incomplete")
python 'from huggingface_hub import hf_hub_download as d; print(d("distilgpt2", "model.safetensors"))'
check cmp "$OUT" "$DEMO/model.safetensors"; check grep -q "\"range\": \"bytes=$LEFT-\"" hub/requests
say "Python resumes at byte $LEFT what sweep left"
fresh '[{"method": "GET", "path": "cdn", "do": "slow", "rate": 1000000, "times": 1}]'
"$PYTHON" -c 'import huggingface_hub.constants as c; c.DOWNLOAD_CHUNK_SIZE = 65536
import huggingface_hub.file_download as f; f.constants.DOWNLOAD_CHUNK_SIZE = 65536
from huggingface_hub import hf_hub_download as d; d("distilgpt2", "model.safetensors")' >/dev/null 2>&1 &
pid=$!
for _ in $(seq 200); do
	[ -n "$(find "$HF_HOME" -name '*.incomplete' -size +1000k 2>/dev/null)" ] && break
	sleep 0.05
done
# while Python holds the lock, sweep waits; when it is killed, sweep goes on
timeout 60 "$SWEEP" fetch distilgpt2 >out.b 2>err.b &
second=$!
for _ in $(seq 100); do grep -q 'another process' err.b && break; sleep 0.05; done
kill -KILL $pid; wait $pid 2>/dev/null
check wait $second
check grep -q 'another process is fetching model.safetensors' err.b; check grep -q 'resumed at' err.b
check cmp "$(cat out.b)/model.safetensors" "$DEMO/model.safetensors"
say "sweep waits for Python's lock, and resumes when Python is killed ($(grep -o 'resumed.*' err.b))"

fresh
run "$SWEEP" fetch me/set --dataset
expect_status 0; DATA=$OUT
HF_HUB_OFFLINE=1 python 'from huggingface_hub import snapshot_download as s; print(s("me/set", repo_type="dataset"))'
expect_out "$DATA"
say "a dataset repository: the same folder on both sides"
finish
