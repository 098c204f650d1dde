#!/usr/bin/env bash
# One rule for the lines of data files: the tables that the database shows are those that were decoded, whatever byte
# order marks, blank lines of any white space and carriage returns a file has; also in a database that an earlier rule
# filled.
. "$SOURCE_DIR/tests/lib.sh"
command -v python3 >/dev/null || skip "python3 reads the database"

# The plain files, and the same with everything that an editor may leave in them.
head -n 3 "$SOURCE_DIR/sweeps/data/dev.txt" >plain.txt
grep -E '^[0-2]\|\|' "$SOURCE_DIR/sweeps/data/dev.out" >plain.out
head -n 20 "$SOURCE_DIR/sweeps/data/train.txt" >train.txt
python3 - <<'PY'
tables, references = (open(name, encoding="utf-8").read().splitlines() for name in ("plain.txt", "plain.out"))
odd = "\ufeff" + "\r\n\u00a0\r\n \u3000\t\r\n".join(tables) + "\r\n\u00a0"
open("odd.txt", "w", encoding="utf-8", newline="").write(odd)
open("odd.out", "w", encoding="utf-8", newline="").write("\ufeff" + "\r\n\u2003\r\n".join(references) + "\r\n")
PY
for name in plain odd; do
	cat >$name.yaml <<YAML
name: $name
model: demo
dataset: {train: train.txt, eval: {dev: {input: $name.txt, references: $name.out}}}
parameters: {num_virtual_tokens: 0, max_new_tokens: 8, do_sample: false}
YAML
	run "$SWEEP" run $name.yaml --db $name.db
	expect_status 0
done

kept() { # kept DB: tables and references as the database has them
	python3 - "$1" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("SELECT n_inputs, n_references FROM datasets").fetchall())
print(db.execute("SELECT input, CAST(table_text AS TEXT) FROM inputs ORDER BY input").fetchall())
print(db.execute("SELECT input, n, CAST(text AS TEXT) FROM refs ORDER BY input, n").fetchall())
print(db.execute("SELECT input, text, sentence_bleu FROM outputs ORDER BY input").fetchall())
PY
}
kept plain.db >plain.kept
kept odd.db >odd.kept
check cmp plain.kept odd.kept
check [ "$(grep -c "(2, '" odd.kept)" -gt 0 ]

# A database whose tables an earlier rule has shifted is put right when the files are seen again.
cat >shift.py <<'PY'
import hashlib, sqlite3
sha = lambda b: hashlib.sha256(b).hexdigest()
old = sha(f"{sha(open('odd.txt', 'rb').read())} {sha(open('odd.out', 'rb').read())} 1 0".encode())
db = sqlite3.connect("odd.db")
assert db.execute("SELECT digest FROM datasets").fetchone()[0] != old
db.execute("UPDATE datasets SET digest = ?, n_inputs = 4, n_references = 1", (old,))
db.execute("UPDATE inputs SET input = input + 10")
db.execute("UPDATE inputs SET input = input - 9")
db.execute("INSERT INTO inputs(dataset_id, input, table_text) SELECT id, 0, 'not a table' FROM datasets")
db.execute("DELETE FROM refs WHERE n > 0")
db.commit()
PY
check python3 shift.py
kept odd.db >shifted.kept
check [ "$(cmp -s plain.kept shifted.kept && echo same)" = "" ]
run "$SWEEP" run odd.yaml --db odd.db
expect_status 0
kept odd.db >again.kept
check cmp plain.kept again.kept

# A mark alone is an empty file, to whoever reads it.
printf '\xef\xbb\xbf' >mark.txt
for part in train input references; do
	sed -e "s/train.txt/$([ $part = train ] && echo mark.txt || echo train.txt)/" \
		-e "s/plain.txt/$([ $part = input ] && echo mark.txt || echo plain.txt)/" \
		-e "s/plain.out/$([ $part = references ] && echo mark.txt || echo plain.out)/" \
		-e 's/num_virtual_tokens: 0/num_virtual_tokens: 2/' plain.yaml >mark.yaml
	run "$SWEEP" run mark.yaml --db mark.db
	refused "mark.txt: the file is empty"
done
run "$SWEEP" score mark.txt plain.txt
refused "mark.txt: the file is empty"
finish
