#!/usr/bin/env python3
"""hostile_files.py - every input format, mutated, through the `sweep` and `sweep-runner` of the AddressSanitizer build: no
crash, no report, exit status 0, 1 or 2, an end, and nothing on a terminal that it would obey. hostile.py has the options.

    python3 tests/torture/hostile_files.py --seconds 60 --seed 7
"""
import gzip
import json
import os
import shutil
import sqlite3

import hostile
from hostile import RUNNER, SOURCE, SWEEP, Failure, environment, mutate, run

DEMO = SOURCE / "runner/demo"
DATA = SOURCE / "sweeps/data"
MODEL = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.json",
         "merges.txt"]
ADAPTER = ["adapter_config.json", "adapter_model.safetensors"]
PARAMS = {"num_virtual_tokens": 5, "max_new_tokens": 2, "num_beams": 1, "do_sample": False, "train_limit": 8}


def prepare(base):
    lines = (DATA / "train.txt").read_bytes().splitlines(True)[:8]
    (base / "train.txt").write_bytes(b"".join(lines))
    (base / "train.txt.gz").write_bytes(gzip.compress(b"".join(lines), mtime=0))
    (base / "dev.txt").write_bytes(b"".join((DATA / "dev.txt").read_bytes().splitlines(True)[:2]))
    wanted = [line for line in (DATA / "dev.out").read_bytes().splitlines(True) if line.split(b"||")[0] in (b"0", b"1")]
    (base / "dev.out").write_bytes(b"".join(wanted))
    (base / "done.yaml").write_text("name: done\nmodel: demo\ndataset:\n  train: train.txt\n  eval: {dev: {input: dev.txt, "
                                    "references: dev.out}}\nmethod: grid\nmetric: {name: dev_bleu, goal: maximize}\n"
                                    "parameters:\n  num_virtual_tokens: [0, 2]\n  num_beams: [1, 2]\n  max_new_tokens: 4\n")
    status = run(base, [SWEEP, "run", "done.yaml", "--jobs", "1"], environment(SWEEP_HOME=SOURCE))
    if status != 0:
        raise SystemExit(f"the sweep that the tries begin with ends with status {status}")
    con = sqlite3.connect(base / "results.db")  # one file, without -wal
    con.execute("PRAGMA journal_mode = DELETE")
    con.close()


def model_folder(folder, changed, rng):
    """The demo model with one file mutated; tokenizer.json is left out where vocab.json or merges.txt is to be read."""
    place = folder / "model"
    place.mkdir()
    for name in MODEL:
        if name == changed:
            (place / name).write_bytes(mutate_file(rng, DEMO / name))
        elif not (name == "tokenizer.json" and changed in ("vocab.json", "merges.txt", "tokenizer_config.json")):
            (place / name).symlink_to(DEMO / name)
    return place


def mutate_file(rng, path):
    data = path.read_bytes()
    if path.suffix == ".safetensors" and rng.random() < 0.8:  # its header is where the numbers are
        n = int.from_bytes(data[:8], "little")
        head = mutate(rng, data[8:8 + n])
        size = rng.choice([len(head), len(head), len(head), n, 0, 1 << 40, (1 << 64) - 1])
        return size.to_bytes(8, "little") + head + data[8 + n:]
    if path.suffix == ".gz" and rng.random() < 0.5:
        return gzip.compress(mutate(rng, gzip.decompress(data)), mtime=0)
    return mutate(rng, data)


def job(folder, base, kind, **members):
    return {"sweep_job": 1, "kind": kind, "key": "0" * 64, "model": str(DEMO), "model_name": "demo",
            "prompt": "T {table} {eos} ", "target": "{text} {eos}", "train": str(base / "train.txt"),
            "splits": [{"name": "dev", "input": str(base / "dev.txt"), "references": str(base / "dev.out"), "limit": 0}],
            "outputs": [{"key": "1" * 64, "dir": str(folder / "out"), "split": 1 if kind == "check" else 0,
                         "params": PARAMS}], **members}


def work(folder, members, text=None):
    (folder / "job.json").write_bytes(text if text is not None else json.dumps(members).encode())
    return run(folder, [RUNNER, folder / "job.json"], environment(SWEEP_HOME=SOURCE), people=False)


# ---- one try of each format ----

def model_file(rng, case, folder, base):
    name = rng.choice(MODEL)
    return f"{name}: {work(folder, job(folder, base, 'check', model=str(model_folder(folder, name, rng))))}"


def adapter_file(rng, case, folder, base):
    name = rng.choice(ADAPTER)
    place = folder / "adapter"
    shutil.copytree(SOURCE / "tests/golden/adapter", place)
    (place / name).write_bytes(mutate_file(rng, place / name))
    members = job(folder, base, "decode", adapter=str(place))
    return f"{name}: {work(folder, members)}"


def training_file(rng, case, folder, base):
    source = base / rng.choice(["train.txt", "train.txt.gz"])
    place = folder / source.name
    place.write_bytes(mutate_file(rng, source))
    params = dict(PARAMS, pad_to_length=rng.choice([0, 0, 40]))
    members = job(folder, base, "check", train=str(place))
    members["outputs"][0]["params"] = params
    return f"training pairs: {work(folder, members)}"


def evaluation_file(rng, case, folder, base):
    name = rng.choice(["dev.txt", "dev.out"])
    (folder / name).write_bytes(mutate_file(rng, base / name))
    split = {"name": "dev", "input": str(base / "dev.txt"), "references": str(base / "dev.out"), "limit": 0}
    split["input" if name == "dev.txt" else "references"] = str(folder / name)
    kind = rng.choice(["check", "check", "decode"])
    return f"{'inputs' if name == 'dev.txt' else 'references'}: {work(folder, job(folder, base, kind, splits=[split]))}"


def job_file(rng, case, folder, base):
    text = json.dumps(job(folder, base, "check")).encode()
    return f"job file: {work(folder, None, mutate(rng, text))}"


def sweep_file(rng, case, folder, base):
    corpus = [base / "done.yaml", *sorted((SOURCE / "sweeps").glob("*.yaml")),
              *sorted((SOURCE / "tests/fuzz/corpus_spec").glob("*.yaml"))]
    source = rng.choice(corpus)
    for name in ("train.txt", "dev.txt", "dev.out"):
        (folder / name).symlink_to(base / name)
    (folder / "s.yaml").write_bytes(mutate(rng, source.read_bytes()))
    env = environment(SWEEP_HOME=SOURCE, HF_HUB_OFFLINE=1, HF_HOME=folder / "hf")
    return f"sweep file: {run(folder, [SWEEP, 'run', 's.yaml', '--dry-run'], env)}"


def finished(folder, base):
    for name in ("results.db", "train.txt", "dev.txt", "dev.out", "done.yaml"):
        shutil.copy(base / name, folder / name)
    shutil.copytree(base / "results.artifacts", folder / "results.artifacts")


def look(rng, folder):
    argv = rng.choice([["report"], ["report", "--best", "--format", "markdown"], ["report", "--format", "html"],
                       ["report", "--format", "csv"], ["report", "--format", "json"], ["status"], ["show", "1"],
                       ["compare", "1", "2"], ["check"], ["check", "--repair"]])
    return run(folder, [SWEEP, *argv], environment(SWEEP_HOME=SOURCE))


def database(rng, case, folder, base):
    finished(folder, base)
    data = (folder / "results.db").read_bytes()
    if rng.random() < 0.5:  # a page or two, not everywhere
        page = rng.randrange(max(1, len(data) // 4096)) * 4096
        data = data[:page] + mutate(rng, data[page:page + 4096]).ljust(4096, b"\0")[:4096] + data[page + 4096:]
    else:
        data = mutate(rng, data)
    (folder / "results.db").write_bytes(data)
    return f"results.db: {look(rng, folder)}"


def texts_in_database(rng, case, folder, base):
    """Texts and numbers of the rows, not the file's bytes: a database that SQLite finds nothing wrong with."""
    finished(folder, base)
    con = sqlite3.connect(folder / "results.db")
    tables = [t for t, in con.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")]
    for _ in range(rng.choice([1, 3])):
        table = rng.choice(sorted(tables))
        column = rng.choice([row[1] for row in con.execute(f'PRAGMA table_info("{table}")')])
        values = [v for v, in con.execute(f'SELECT DISTINCT "{column}" FROM "{table}"')]
        if not values:
            continue
        value = rng.choice(sorted(values, key=repr))
        new = rng.choice([None, -1, 1 << 62, 1e308, float("inf"), "", "\x1b[2J\u202e\x9b", b"\0\xff",
                          mutate(rng, str(value).encode()).decode("utf-8", "replace")])
        try:
            con.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE "{column}" IS ?', (new, value))
        except sqlite3.Error:
            pass  # a constraint
    con.commit()
    con.close()
    return f"rows of results.db: {look(rng, folder)}"


def artifact_file(rng, case, folder, base):
    finished(folder, base)
    files = sorted(p for p in (folder / "results.artifacts").glob("*/*") if p.suffix in (".json", ".jsonl", ".safetensors"))
    path = rng.choice(files)
    path.write_bytes(mutate_file(rng, path))
    env = environment(SWEEP_HOME=SOURCE)
    argv = rng.choice([["check"], ["check", "--repair"], ["show", "1"], ["run", "done.yaml", "--dry-run"],
                       ["generate", "2", "dev.txt"]])
    return f"{path.name}: {run(folder, [SWEEP, *argv], env)}"


def scored_file(rng, case, folder, base):
    hypotheses = sorted((base / "results.artifacts").glob("*/hypotheses.jsonl"))[0]
    plain = b"A serves B.\nC is D.\n"
    refs, hyps = (base / "dev.out").read_bytes(), rng.choice([hypotheses.read_bytes(), plain])
    if rng.random() < 0.5:
        refs = mutate(rng, refs)
    else:
        hyps = mutate(rng, hyps)
    (folder / "refs").write_bytes(refs)
    (folder / "hyps.jsonl").write_bytes(hyps)
    return f"scored files: {run(folder, [SWEEP, 'score', 'refs', 'hyps.jsonl'], environment())}"


EVENTS = b"".join(json.dumps(e).encode() + b"\n" for e in [
    {"event": "start", "threads": 1, "text": "zen"}, {"event": "progress", "phase": "decode", "done": 1, "total": 2},
    {"event": "loss", "step": 1, "total": 2, "loss": 3.5, "learning_rate": 1e-5}, {"event": "artifact", "key": "0" * 64},
    {"event": "note", "text": "a note"}, {"event": "error", "text": "a sentence", "error_kind": 2}, {"event": "done"}])


def events(rng, case, folder, base):
    """A worker that says anything, and ends as it likes."""
    for name in ("train.txt", "dev.txt", "dev.out", "done.yaml"):
        (folder / name).symlink_to(base / name)
    (folder / "events").write_bytes(mutate(rng, EVENTS))
    worker = folder / "worker"
    worker.write_text(f'#!/bin/sh\ncat "{folder}/events"\nexit {rng.choice([0, 1, 2])}\n')
    worker.chmod(0o755)
    status = run(folder, [SWEEP, "run", "done.yaml", "--jobs", "2"], environment(SWEEP_HOME=SOURCE, SWEEP_RUNNER=worker))
    if status == 0:
        raise Failure("a worker that made nothing, and exit status 0")
    return f"events: {status}"


TRIES = [model_file] * 4 + [adapter_file] * 2 + [training_file, evaluation_file, job_file, sweep_file, sweep_file, database,
                                                 texts_in_database, artifact_file, scored_file, events]


def one(rng, case, folder, base):
    return TRIES[case % len(TRIES)](rng, case, folder, base)


if __name__ == "__main__":
    os.umask(0o022)
    hostile.main("hostile_files", one, prepare)
