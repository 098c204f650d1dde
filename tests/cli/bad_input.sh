#!/usr/bin/env bash
# Everything a user can get wrong, once: exit status 2, one sentence on stderr that names the place, and nothing that was
# recorded is lost. (What only the sweep file can get wrong in finer ways is in tests/unit/test_spec.c.)
. "$SOURCE_DIR/tests/lib.sh"
command -v python3 >/dev/null || skip "python3 makes the broken files"

DEMO=$SOURCE_DIR/runner/demo
mkdir data
head -n 40 "$SOURCE_DIR/sweeps/data/train.txt" >data/train.txt
head -n 3 "$SOURCE_DIR/sweeps/data/dev.txt" >data/dev.txt
grep -E '^[0-2]\|\|' "$SOURCE_DIR/sweeps/data/dev.out" >data/dev.out

# sweep_file NAME MODEL TRAIN INPUT REFERENCES [PARAMETER LINES]
sweep_file() {
	cat >"$1" <<YAML
name: bad
model: $2
dataset: {train: $3, eval: {dev: {input: $4, references: $5}}}
parameters:
${6:-  num_virtual_tokens: 2
  max_new_tokens: 5}
YAML
}
good=(demo data/train.txt data/dev.txt data/dev.out)

# A sound sweep first: its runs must outlive everything below.
sweep_file good.yaml "${good[@]}"
run "$SWEEP" run good.yaml
expect_status 0
recorded() { run "$SWEEP" report --format csv; CHECKS=$((CHECKS + 1)); [ "$OUT" = "$BEFORE" ] || fail "what was recorded has changed after: $1"; }
run "$SWEEP" report --format csv
expect_status 0
BEFORE=$OUT

bad_run() { # bad_run NEEDLE FILE [ARGUMENTS]: `sweep run` refuses, with NEEDLE in its sentence
	needle=$1; shift
	run "$SWEEP" run "$@"
	refused "$needle"
}

# --- the sweep file
printf 'name: [a\nmodel: }\n' >yaml.yaml
bad_run "yaml.yaml:2:" yaml.yaml
bad_run "missing.yaml" missing.yaml
sweep_file a.yaml "${good[@]}" '  num_beam: 5'
bad_run 'num_beams' a.yaml
bad_run 'a.yaml:5:' a.yaml
printf 'nam: x\nparameters: {num_beams: 1}\n' >a.yaml
bad_run '`name`' a.yaml
sweep_file a.yaml "${good[@]}" '  num_beams: many'
bad_run 'whole number' a.yaml
sweep_file a.yaml "${good[@]}" '  num_beams: 0'
bad_run 'from 1 to' a.yaml
sweep_file a.yaml "${good[@]}" '  num_beams: []'
bad_run 'empty' a.yaml
sweep_file a.yaml "${good[@]}" $'  num_beams: 1\n  num_beams: 2'
bad_run 'num_beams' a.yaml
seq -s, 1 1000 >numbers
sweep_file a.yaml "${good[@]}" "  top_k: [$(cat numbers)]"$'\n'"  max_new_tokens: [$(cat numbers)]"$'\n  num_beams: [1, 2]'
bad_run '2000000' a.yaml --dry-run
printf 'name: x\nmethod: bayes\nparameters: {num_beams: 1}\n' >a.yaml
bad_run 'bayes' a.yaml

# --- the command line
bad_run 'jobs' good.yaml --jobs 0
run "$SWEEP" rum good.yaml
refused 'run'
run "$SWEEP" run good.yaml --job 2
refused '--jobs'
run "$SWEEP" run
refused 'FILE'
recorded "bad sweep files"

# --- the model folder
model() { rm -rf model; cp -r "$DEMO" model; sweep_file m.yaml ./model data/train.txt data/dev.txt data/dev.out; }
model; rm model/model.safetensors
bad_run 'model.safetensors' m.yaml
model; truncate -s 1000000 model/model.safetensors
bad_run 'model.safetensors' m.yaml
model; truncate -s 4 model/model.safetensors
bad_run 'model.safetensors' m.yaml
cat >break.py <<'PY'
import json, struct, sys
path, how = sys.argv[1:]
raw = open(path, "rb").read()
n = struct.unpack("<Q", raw[:8])[0]
head, data = json.loads(raw[8:8 + n]), raw[8 + n:]
names = [k for k in head if k != "__metadata__"]
one = head[names[0]]
if how == "overlap":
    head[names[1]]["data_offsets"] = head[names[0]]["data_offsets"]
elif how == "overflow":
    one["shape"] = [2**33, 2**33]
elif how == "negative":
    one["data_offsets"] = [-8, one["data_offsets"][1]]
elif how == "shape":
    one["shape"] = one["shape"][::-1] + [1]
elif how == "dtype":
    one["dtype"] = "I64"
elif how == "missing":
    name = next(k for k in names if k.endswith("wpe.weight"))
    head["other.name"] = head.pop(name)
elif how == "json":
    open(path, "wb").write(raw[:8] + b"{" * n + data)
    sys.exit()
elif how == "huge":
    open(path, "wb").write(struct.pack("<Q", 2**63) + raw[8:])
    sys.exit()
text = json.dumps(head).encode()
text += b" " * (-len(text) % 8)
open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
for how in overlap overflow negative shape dtype missing json huge; do
	model; python3 break.py model/model.safetensors $how
	bad_run 'model.safetensors' m.yaml
done
model; sed -i 's/"n_embd": *[0-9]*/"n_embd": 100/' model/config.json
bad_run 'model' m.yaml
model; sed -i 's/"n_layer": *[0-9]*/"n_layer": 99/' model/config.json
bad_run 'model' m.yaml
model; rm model/config.json
bad_run 'config.json' m.yaml
model; echo '{' >model/config.json
bad_run 'config.json' m.yaml
model; rm -f model/tokenizer.json model/vocab.json model/merges.txt
bad_run 'tokenizer.json' m.yaml
model; python3 - <<'PY'
import json
p = "model/tokenizer.json"
t = json.load(open(p))
t["model"]["vocab"]["\u0120:"] = 999999 # " :" stands in every table
json.dump(t, open(p, "w"))
v = json.load(open("model/vocab.json")); v["\u0120:"] = 999999; json.dump(v, open("model/vocab.json", "w"))
PY
bad_run '999999' m.yaml
sweep_file m.yaml nowhere/at-all data/train.txt data/dev.txt data/dev.out
HF_HUB_OFFLINE=1 bad_run 'nowhere/at-all' m.yaml
recorded "bad models"

# --- the data
data_case() { # data_case NEEDLE TRAIN INPUT REFERENCES
	sweep_file d.yaml demo "$2" "$3" "$4"
	bad_run "$1" d.yaml
}
data_case 'data/none.txt' data/none.txt data/dev.txt data/dev.out
{ head -n 2 data/train.txt; echo 'no bars here'; } >data/bars.txt
data_case 'data/bars.txt:3' data/bars.txt data/dev.txt data/dev.out
{ head -n 1 data/train.txt; printf 'name : \377||text\n'; } >data/utf8.txt
data_case 'data/utf8.txt:2' data/utf8.txt data/dev.txt data/dev.out
: >data/empty.txt
data_case 'data/empty.txt' data/empty.txt data/dev.txt data/dev.out
data_case 'data/empty.txt' data/train.txt data/empty.txt data/dev.out
data_case 'data/empty.txt' data/train.txt data/dev.txt data/empty.txt
grep -v '^1||' data/dev.out >data/gap.out
data_case 'data/gap.out' data/train.txt data/dev.txt data/gap.out
sed 's/^2||/7||/' data/dev.out >data/unknown.out
data_case 'data/unknown.out' data/train.txt data/dev.txt data/unknown.out
sed 's/^0||name/0||nome/' data/dev.out >data/other.out
data_case 'data/other.out:1' data/train.txt data/dev.txt data/other.out
{ head -n 3 data/train.txt; printf 'name : '; yes word | head -n 400 | tr '\n' ' '; echo '|| text'; } >data/long.txt
data_case 'data/long.txt' data/long.txt data/dev.txt data/dev.out
sweep_file d.yaml "${good[@]}" '  max_new_tokens: 5000'
bad_run 'positions' d.yaml
sweep_file d.yaml "${good[@]}" '  num_virtual_tokens: 1000'
bad_run 'positions' d.yaml
# one point of several: which run it is, and where the file says so
sweep_file d.yaml "${good[@]}" '  max_new_tokens: [5, 5000]'
bad_run ': run 2 of 2 (decode' d.yaml
line=$(grep -n 'max_new_tokens: \[5, 5000\]' d.yaml | cut -d: -f1)
expect_err "d.yaml:$line:3: run 2 of 2"
bad_run 'good.yaml: run 2 of 2 (decode' good.yaml --set 'max_new_tokens=[5, 5000]'
recorded "bad data"

# --- results.db
printf 'this is no database, only a text that is long enough to be looked at as one\n' >text.db
bad_run 'text.db' good.yaml --db text.db
check grep -q 'no database' text.db
if command -v sqlite3 >/dev/null; then
	cp results.db newer.db
	sqlite3 newer.db 'PRAGMA user_version = 9999'
	bad_run 'newer' good.yaml --db newer.db
	run "$SWEEP" report --db newer.db
	refused 'newer'
fi
run "$SWEEP" report --db none.db
refused 'none.db'
bad_run 'nowhere' good.yaml --db nowhere/results.db
SWEEP_RUNNER=$WORK/no-such-runner bad_run 'no-such-runner' good.yaml --set seed=7
if [ "$(id -u)" -eq 0 ] && mkdir full && mount -t tmpfs -o size=300k tmpfs full 2>/dev/null; then
	bad_run 'no room on the disk' good.yaml --db full/results.db
	umount full
	mkdir ro && mount -t tmpfs tmpfs ro && cp results.db ro/ && mount -o remount,ro ro &&
		bad_run 'ro/results.db' good.yaml --db ro/results.db --set seed=8
	umount ro
else
	echo "not tested: a full disk and a read-only one (needs root and mount)"
fi
recorded "bad databases"
run "$SWEEP" run good.yaml
expect_status 0
finish
