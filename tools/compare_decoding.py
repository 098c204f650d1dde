#!/usr/bin/env python3
"""Decodes the same inputs with sweep-runner and with transformers + PEFT, one input per generate() call, and counts where
they differ: text, number of tokens, score (relative 1e-4).

    tools/compare_decoding.py --model runner/demo --adapter DIR --inputs sweeps/data/dev.txt --limit 20 \\
        --grid '{"num_beams": [1, 3], "length_penalty": [0, 1], "early_stopping": ["false", "never"]}'

--inputs may be given several times. --adapter random:V[:SCALE] makes a prefix of V virtual tokens, N(0, SCALE); none is
the base model. The grid's lists are multiplied out, parameter names are sweep's own; a list of grids is their union.
generate() is the slow side: --each N gives every input only N of the settings that share num_beams, max_new_tokens and
do_sample, in turn, so that every setting has its share of the inputs; --minutes M stops after M minutes, --workers W
runs W processes, --skip N leaves out the first N inputs. Sampling is compared with equal noise (tools/theirs.py). The last line says what was compared.

Needs the versions of tools/theirs.py. Exit status 1 when anything differs.
"""
import argparse, collections, hashlib, itertools, json, multiprocessing, os, subprocess, sys, tempfile, time

import theirs
import torch

SHARED = ("num_beams", "max_new_tokens", "do_sample")


def points(grids):
    seen = []
    for grid in grids if isinstance(grids, list) else [grids]:
        names = sorted(grid)
        for values in itertools.product(*(grid[n] if isinstance(grid[n], list) else [grid[n]] for n in names)):
            point = dict(zip(names, values))
            if point.get("num_beams", 1) == 1:  # they mean nothing there
                point = {k: v for k, v in point.items() if k not in ("length_penalty", "early_stopping")}
            if point not in seen:
                seen.append(point)
    return seen


def share(settings, each, i):
    """Indices of the settings that input i is decoded with."""
    classes = collections.defaultdict(list)
    for s, params in enumerate(settings):
        classes[tuple(params.get(name) for name in SHARED)].append(s)
    for members in classes.values():
        n = min(each or len(members), len(members))
        yield from (members[(i * n + k) % len(members)] for k in range(n))


def ours(args, rows, settings, folder):
    """Lines of hypotheses.jsonl for each setting."""
    with open(f"{folder}/inputs.txt", "w", encoding="utf-8") as f:
        f.writelines(row + "\n" for row in rows)
    outputs = []
    for i, params in enumerate(settings):
        key = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
        outputs.append({"key": key, "dir": f"{folder}/{i}", "split": 0, "params": params})
    job = {"sweep_job": 1, "kind": "decode", "key": "0" * 64, "model": os.path.abspath(args.model), "model_name": args.model,
           "prompt": theirs.PROMPT, "target": theirs.TARGET, "outputs": outputs,
           "splits": [{"name": "dev", "input": f"{folder}/inputs.txt", "limit": 0}]}
    if args.adapter:
        job["adapter"] = os.path.abspath(args.adapter)
    path = f"{folder}/job.json"
    json.dump(job, open(path, "w"))
    start = time.time()
    done = subprocess.run([args.runner, path], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{args.runner}: {done.stdout[-1000:]}")
    print(f"sweep-runner: {len(rows)} inputs x {len(settings)} settings in {time.time() - start:.0f} s", flush=True)
    return [[json.loads(line) for line in open(f"{folder}/{i}/hypotheses.jsonl")] for i in range(len(settings))]


def random_adapter(args, folder):
    """A PEFT adapter of random keys and values."""
    parts = args.adapter.split(":")
    peft = theirs.prefix_model(args.model, int(parts[1]), False, 0, 7)
    with torch.no_grad():
        peft.prompt_encoder.default.embedding.weight.mul_(float(parts[2]) if len(parts) > 2 else 1)
    peft.save_pretrained(folder)
    return folder


def start_worker(args, settings, rows):
    global worker
    torch.set_num_threads(1)
    tok = theirs.tokenizer(args.model)
    worker = (args, settings, rows, tok, theirs.with_adapter(args.model, args.adapter))


def decode(i):
    """(setting, text, tokens, score) of one input."""
    args, settings, rows, tok, model = worker
    ids = tok(theirs.prompt_text(rows[i], tok.eos_token))["input_ids"]
    result = []
    for s in share(settings, args.each, i):
        tokens, score = theirs.generate(model, ids, tok.eos_token_id, settings[s])
        result.append((s, theirs.text_of(tok, tokens, rows[i]), len(tokens), score))
    return i, result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=f"{theirs.ROOT}/runner/demo")
    p.add_argument("--adapter")
    p.add_argument("--inputs", action="append", help="FILE or FILE:N, its first N tables")
    p.add_argument("--limit", type=int, default=10, help="of all inputs together")
    p.add_argument("--runner", default=theirs.RUNNER)
    p.add_argument("--grid", default='{"num_beams": [1, 3, 5]}')
    p.add_argument("--skip", type=int, default=0, help="inputs that an earlier call compared")
    p.add_argument("--each", type=int, default=0)
    p.add_argument("--minutes", type=float, default=1e9)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--show", type=int, default=5, help="differences to print")
    args = p.parse_args()
    folder = tempfile.mkdtemp(prefix="compare-decoding-")
    if args.adapter and args.adapter.startswith("random:"):
        args.adapter = random_adapter(args, f"{folder}/adapter")
    rows = []
    for name in args.inputs or [f"{theirs.ROOT}/sweeps/data/dev.txt"]:
        path, _, n = name.partition(":")
        rows += theirs.tables(path, int(n or 0))
    rows = rows[:args.limit]
    settings = points(json.loads(args.grid))
    mine = ours(args, rows, settings, folder)
    count, different, shown, done, worst = 0, 0, 0, 0, 0.0
    texts, by_setting, compared = set(), collections.Counter(), collections.Counter()
    end = time.time() + 60 * args.minutes
    with multiprocessing.Pool(args.workers, start_worker, (args, settings, rows)) as pool:
        for i, results in pool.imap(decode, range(args.skip, len(rows))):
            done += 1
            for s, text, n_tokens, score in results:
                own, close = mine[s][i], True
                texts.add(text)
                if score is not None:
                    gap = abs(own["score"] - score) / max(1.0, abs(score))
                    worst, close = max(worst, gap), gap <= 1e-4
                count += 1
                compared[s] += 1
                if own["text"] != text or own["tokens"] != n_tokens or not close:
                    different += 1
                    by_setting[json.dumps(settings[s])] += 1
                    if shown < args.show:
                        shown += 1
                        print(f"input {i}, {json.dumps(settings[s])}\n  transformers {score} {n_tokens} {text!r}\n"
                              f"  sweep        {own['score']} {own['tokens']} {own['text']!r}")
            if time.time() > end:
                pool.terminate()
                break
    for setting, n in by_setting.items():
        print(f"{n} differ: {setting}")
    print(f"{count} decodings ({done} inputs, {len(settings)} settings, {min(compared.values())} to "
          f"{max(compared.values())} inputs a setting, {len(texts)} distinct texts): {count - different} identical, "
          f"{different} different; largest relative score difference {worst:.1e}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
