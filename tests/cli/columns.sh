#!/usr/bin/env bash
# Files with named columns (CSV, TSV, JSON lines, gzip or not) beside `table||text` files: the same data are the same
# adapter, texts, scores, inputs and references; what is wrong has one sentence with its file and line.
. "$SOURCE_DIR/tests/lib.sh"
command -v python3 >/dev/null || skip "python3 writes the files and reads the database"

# Some of the bundled data, once as they are and once in each format; of the references of several inputs, each format
# has the first ones first, so that rows of one input are apart.
head -n 12 "$SOURCE_DIR/sweeps/data/train.txt" >train.txt
head -n 4 "$SOURCE_DIR/sweeps/data/dev.txt" >dev.txt
grep -E '^[0-3]\|\|' "$SOURCE_DIR/sweeps/data/dev.out" >dev.out
cat >convert.py <<'PY'
import csv, gzip, json
pairs = [line.rstrip("\n").split("||", 1) for line in open("train.txt", encoding="utf-8")]
tables = open("dev.txt", encoding="utf-8").read().splitlines()
seen, rows = {}, []
for line in open("dev.out", encoding="utf-8"):
    number, table, text = line.rstrip("\n").split("||", 2)
    assert tables[int(number)] == table
    seen[table] = seen.get(table, 0) + 1
    rows.append((seen[table], int(number), table, text))
rows = [row[2:] for row in sorted(rows, key=lambda row: row[:2])]
assert len(set(tables)) == 4 and len(rows) > 4
rows = [tuple(r) for r in rows]

def write(name, data):
    for ending, opened in (("", open), (".gz", gzip.open)):
        with opened(f"{name}.csv{ending}", "wt", encoding="utf-8-sig", newline="") as f:
            out = csv.writer(f, quoting=csv.QUOTE_ALL)
            out.writerow(["id", "ref", "mr"])
            out.writerows([i, text, table] for i, (table, text) in enumerate(data))
        with opened(f"{name}.tsv{ending}", "wt", encoding="utf-8", newline="") as f:
            out = csv.writer(f, dialect="excel-tab", lineterminator="\n")
            out.writerow(["mr", "ref"])
            out.writerows(data)
        with opened(f"{name}.jsonl{ending}", "wt", encoding="utf-8", newline="") as f:
            for table, text in data:
                f.write(json.dumps({"more": {"mr": 1}, "mr": table, "ref": text}) + "\n")
write("train", pairs)
write("dev", rows)
PY
check python3 convert.py

cat >text.yaml <<'YAML'
name: text
model: demo
dataset:
  train: train.txt
  eval:
    dev: {input: dev.txt, references: dev.out}
    few: {input: dev.txt, references: dev.out, limit: 2}
    bare: dev.txt
parameters: {num_virtual_tokens: 2, train_limit: 10, batch_size: 4, lr: 0.01, max_new_tokens: 8, do_sample: false}
YAML
cat >kept.py <<'PY'
import hashlib, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
(folder,) = db.execute("SELECT dir FROM artifacts WHERE kind = 'adapter'").fetchone()
print(hashlib.sha256(open(f"{folder}/adapter_model.safetensors", "rb").read()).hexdigest())
print(db.execute("SELECT dev_bleu, dev_sentence_bleu, few_bleu, few_sentence_bleu, status FROM leaderboard").fetchall())
print(db.execute("SELECT split, input, CAST(table_text AS TEXT), text, score, tokens, sentence_bleu FROM outputs "
                 "ORDER BY split, input").fetchall())
for split in ("dev", "few", "bare"):
    (dataset,) = db.execute("SELECT dataset_id FROM splits WHERE name = ?", (split,)).fetchone()
    print(db.execute('SELECT n_inputs, n_references, "limit" FROM datasets WHERE id = ?', (dataset,)).fetchall())
    print(db.execute("SELECT input, CAST(table_text AS TEXT) FROM inputs WHERE dataset_id = ? ORDER BY input",
                     (dataset,)).fetchall())
    print(db.execute("SELECT input, n, CAST(text AS TEXT) FROM refs WHERE dataset_id = ? ORDER BY input, n",
                     (dataset,)).fetchall())
PY
run "$SWEEP" run text.yaml --db text.db
expect_status 0
python3 kept.py text.db >text.kept || fail "kept.py"
check [ "$(grep -c "None), \|'done')" text.kept)" -ge 1 ]
for format in csv tsv jsonl csv.gz tsv.gz jsonl.gz; do
	cat >"$format.yaml" <<YAML
name: ${format/./_}
model: demo
dataset:
  train: train.$format
  eval:
    dev: dev.$format
    few: {input: dev.$format, limit: 2}
    bare: {input: dev.$format, references: null}
  columns: {input: mr, target: ref}
$(tail -n 1 text.yaml)
YAML
	run "$SWEEP" run "$format.yaml" --db "$format.db"
	expect_status 0
	python3 kept.py "$format.db" >"$format.kept" || fail "kept.py"
	check cmp text.kept "$format.kept"
done
# Formats may stand side by side, what is done is not done again, and a file counts by content and columns, not by name.
sed -e 's/train.csv/train.txt/' -e 's/input: dev.csv, limit/input: dev.txt, references: dev.out, limit/' csv.yaml >mixed.yaml
run "$SWEEP" run mixed.yaml --db mixed.db
expect_status 0
python3 kept.py mixed.db >mixed.kept || fail "kept.py"
check cmp text.kept mixed.kept
cp train.csv moved.csv
sed 's/train.csv/moved.csv/' csv.yaml >moved.yaml
run "$SWEEP" run moved.yaml --db csv.db --dry-run
expect_out "Every run is done: nothing to do."
sed 's/target: ref/target: id/' csv.yaml >column.yaml
run "$SWEEP" run column.yaml --db csv.db --dry-run
expect_out "trainings             1          0          1"

# A text with line breaks, quotes and bars in it is a text.
printf 'mr,ref\n"a || b\n""c""","one\ntwo"\n' >odd.csv
cat >odd.yaml <<'YAML'
model: demo
dataset: {train: odd.csv, eval: {dev: odd.csv}, columns: {input: mr, target: ref}}
parameters: {num_virtual_tokens: 1, max_new_tokens: 4}
YAML
run "$SWEEP" run odd.yaml --db odd.db
expect_status 0
check [ "$(python3 -c 'import sqlite3; print(sqlite3.connect("odd.db").execute(
"SELECT CAST(table_text AS TEXT), CAST(text AS TEXT) FROM inputs JOIN refs USING (dataset_id, input)").fetchall())')" \
	= "[('a || b\\n\"c\"', 'one\\ntwo')]" ]

# ---- sweep score and sweep generate

python3 -c 'import csv, json
rows = list(csv.DictReader(open("dev.csv", encoding="utf-8-sig", newline="")))
names = list(dict.fromkeys(row["mr"] for row in rows))
for i, name in enumerate(names):
    print(json.dumps({"id": i, "text": [row["ref"] for row in rows if row["mr"] == name][0].replace("the", "a")}))' >hyp.jsonl
run "$SWEEP" score dev.out hyp.jsonl --format json
expect_status 0
same=$OUT
for format in csv tsv.gz jsonl; do
	run "$SWEEP" score dev.$format hyp.jsonl --columns mr,ref --format json
	expect_status 0
	check [ "$OUT" = "$same" ]
done
run "$SWEEP" score dev.csv hyp.jsonl; refused "dev.csv: looks like a table (CSV)"; expect_err "--columns INPUT,TARGET"
run "$SWEEP" score dev.jsonl hyp.jsonl; refused "or in columns that --columns INPUT,TARGET names"
run "$SWEEP" score dev.csv hyp.jsonl --columns mr,reff; refused "dev.csv:1: the header has no column \`reff\`"
run "$SWEEP" score dev.csv hyp.jsonl --columns mr; refused "--columns: expected INPUT,TARGET"
run "$SWEEP" score dev.csv dev.csv hyp.jsonl --columns mr,ref; refused "one file of references, found 2"
run "$SWEEP" score dev.out hyp.jsonl --columns mr,ref; refused "dev.out: --columns is for files whose names end"

cut -d'|' -f1-4 dev.txt | sed -n '1p;2p;1p' >in.txt
{ echo 'n,mr'; sed 's/"/""/g; s/.*/1,"&"/' in.txt; } >in.csv
run "$SWEEP" generate --model demo in.txt --threads 1 --set max_new_tokens=4
expect_status 0
same=$OUT
run "$SWEEP" generate --model demo in.csv --column mr --threads 1 --set max_new_tokens=4
expect_status 0; expect_no_err
check [ "$OUT" = "$same" ]
check [ "$(wc -l <.out)" = 3 ]
run "$SWEEP" generate --model demo in.csv; refused "in.csv: has columns; say where the tables are with --column NAME"
run "$SWEEP" generate --model demo in.csv --column m; refused "in.csv:1: the header has no column \`m\`"
run "$SWEEP" generate --model demo in.txt --column mr; refused "--column is for a file whose name ends in .csv"
run "$SWEEP" generate --model demo --column mr; refused "--column is for a file whose name ends in .csv"

# ---- what is wrong in the sweep file

refuse() { # DATASET NEEDLE: of a sweep with this dataset
	printf 'model: demo\ndataset: %s\nparameters: {num_virtual_tokens: 1, max_new_tokens: 4}\n' "$1" >bad.yaml
	run "$SWEEP" run bad.yaml --db bad.db
	refused "$2"
}
both='columns: {input: mr, target: ref}'
refuse '{train: train.csv, eval: {dev: dev.csv}}' "bad.yaml:2:18: dataset.train: train.csv has columns; say which ones"
refuse '{train: train.txt, eval: {dev: dev.csv}}' "bad.yaml:2:41: dataset.eval.dev: dev.csv has columns; say which ones"
refuse '{train: train.txt, eval: {dev: dev.txt}, '"$both}" "bad.yaml:2:60: dataset.columns: no file here has columns"
refuse '{train: train.csv, eval: {dev: dev.csv}, columns: {input: mr}}' "train.csv is to be learnt from, and \`columns\`"
refuse '{train: train.csv, eval: {dev: dev.csv}, columns: {target: mr}}' "dataset.columns.input is missing"
refuse '{train: train.csv, eval: {dev: dev.csv}, columns: {input: mr, targets: ref}}' "did you mean \`target\`?"
refuse '{train: train.csv, eval: {dev: dev.csv}, columns: {input: mr, target: mr}}' "\`mr\` is input and target"
refuse '{train: train.csv, eval: {dev: dev.csv}, columns: mr}' "dataset.columns: expected a map"
refuse '{name: demo, '"$both}" "dataset.columns: only files of your own have columns"
refuse "{train: train.csv, eval: {dev: {input: dev.csv, references: dev.out}}, $both}" "dev.csv has its references in it"
refuse "{train: train.csv, eval: {dev: {input: dev.txt, references: dev.csv}}, $both}" \
	"a file with columns has inputs and references: give dev.csv"
refuse "{train: none.csv, eval: {dev: dev.csv}, $both}" "bad.yaml:2:18: dataset.train: cannot open"
printf 'PAR1\025\004PAR1' >data.parquet
cp data.parquet data.csv
refuse "{train: data.parquet, eval: {dev: dev.csv}, $both}" "bad.yaml:2:18: dataset.train: data.parquet is a Parquet file; convert"
refuse "{train: train.csv, eval: {dev: data.parquet}, $both}" "data.parquet is a Parquet file; convert"
refuse "{train: data.csv, eval: {dev: dev.csv}, $both}" "data.csv is a Parquet file; convert"

# ---- what is wrong in the files: found by the check, before anything is recorded

refuse_file() { # FILE BYTES NEEDLE: as training data and as a split
	printf '%b' "$2" >"$1"
	refuse "{train: $1, eval: {dev: dev.csv}, $both}" "$1:$3"
	refuse "{train: train.csv, eval: {dev: $1}, $both}" "$1:$3"
	gzip -kf "$1"
	refuse "{train: train.csv, eval: {dev: $1.gz}, $both}" "$1.gz:$3"
}
refuse_file bad.csv 'mr,refs\na,b\n' "1: the header has no column \`ref\`, but \`mr\`, \`refs\`; did you mean \`refs\`?"
refuse_file bad.csv 'mr,ref,ref\na,b,c\n' "1: the header has two columns \`ref\`"
refuse_file bad.csv 'mr,ref\n' " there is no row in the file"
refuse_file bad.csv 'mr,ref\n"a\n",b\nc,d,e\n' "4: the row has 3 fields, but the header has 2"
refuse_file bad.csv 'mr,ref\na,b\nc,"d\n' "3: a quote opens a field here and is never closed"
refuse_file bad.csv 'mr,ref\na,"b "c" d"\n' "2: text behind the closing quote"
refuse_file bad.csv 'mr,ref\na,b\nc,\0351\n' "3:3: byte 0xe9 is not UTF-8"
refuse_file bad.csv 'mr,ref\na,b\0\n' "2: the line holds a NUL byte"
refuse_file bad.csv 'mr,ref\na,\n' "2: the column \`ref\` is empty"
refuse_file bad.csv 'mr,ref\ra,b\r' "1: a carriage return without a line feed"
refuse_file bad.tsv 'mr\tref\na,b\n' "2: the row has 1 field, but the header has 2; a text with a tab"
refuse_file bad.jsonl '{"mr": "a", "ref": "b"}\n{"mr": "a", "rev": "b"}\n' "2: the object has no member \`ref\`, but \`mr\`, \`rev\`; did"
refuse_file bad.jsonl '{"mr": "a", "ref": ["b"]}\n' "1: \`ref\` is a list or object; expected a text"
refuse_file bad.jsonl '\n{"mr": "a", "ref": "b"\n' "2:23: expected a JSON object on each line"
refuse_file bad.json '[\n{"mr": "a", "ref": "b"}]\n' "1:1: expected a JSON object on each line; a list becomes lines with"
# A pair that is too long is named by its line, not by its number.
{ printf 'mr,ref\n"a\n\n",b\nc,"'; head -c 9000 /dev/zero | tr '\0' 'x' | sed 's/x/x /g'; printf '"\n'; } >long.csv
refuse "{train: long.csv, eval: {dev: dev.csv}, $both}" "long.csv:5: the pair has"
check [ "$(python3 -c 'import sqlite3; print(sqlite3.connect("bad.db").execute("SELECT count(*) FROM runs").fetchall())')" \
	= "[(0,)]" ]
finish
