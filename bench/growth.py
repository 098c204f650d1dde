"""How it grows: decoding by batch size and threads, training by threads, plan and report by the number of runs.

    python3 bench/growth.py [--threads 1,2] [--rounds 3] [--what decode,train,plan,report]

distilgpt2's shape (bench/make_model.py), E2E. Decoding: 1 to 64 tables together, greedy and with 5 beams, 50 new tokens; rows
a second of the whole job behind its start (prefill included; batches thin out as texts end). Training: tokens a second of a
step of batch 16, dropout on. Plan: `sweep run --dry-run` on a grid of that many runs. Report: `sweep report --best` and the
view on a database of that many finished runs (tests/test_store --make). Medians of the rounds.
"""
import argparse, resource, shutil, time
from common import *


def median_of(n, function):
    values = [function() for _ in range(n)]
    return statistics.median(values), min(values), max(values)


def decode_rate(model, tables, beams, threads):
    inputs = WORK / "growth-inputs.txt"
    inputs.write_text("\n".join(tables) + "\n", encoding="utf-8")
    for f in WORK.glob("growth-out*"):
        shutil.rmtree(f)
    settings = dict(num_beams=beams, max_new_tokens=50, do_sample=False)
    _, events = runner(decode_job(model, None, inputs, WORK / "growth-out", [settings]), threads)
    return [e for _, e in events if e.get("phase") == "decode"][-1]["tokens_per_second"]


def train_rate(model, threads):
    shutil.rmtree(WORK / "growth-train", ignore_errors=True)
    job = train_job(model, WORK / "growth-train", num_virtual_tokens=20, prefix_projection=True, batch_size=16,
                    train_limit=96, learning_rate=5e-5)
    _, events = runner(job, threads)
    return statistics.median([e["tokens_per_second"] for _, e in events if e["event"] == "loss"][1:])


def timed(command, cwd):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return seconds, after if after > before else 0


def grid_of(folder, runs):
    side = {100: (10, 10, 1), 10000: (100, 100, 1), 1000000: (100, 100, 100)}[runs]
    values = lambda n, step: "[" + ", ".join(str(i * step) for i in range(1, n + 1)) + "]"
    (folder / f"g{runs}.yaml").write_text(
        f"name: g\nmodel: demo\ndataset: demo\nparameters:\n  do_sample: true\n  top_k: {values(side[0], 1)}\n"
        f"  seed: {values(side[1], 1)}\n  max_new_tokens: {values(side[2], 1)}\n")
    return f"g{runs}.yaml"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--what", default="decode,train,plan,report")
    parser.add_argument("--model", default=str(WORK / "distilgpt2-shape"))
    args = parser.parse_args()
    threads, what = [int(t) for t in args.threads.split(",")], args.what.split(",")
    machine(args.threads)
    tables = open(E2E / "dev.txt", encoding="utf-8").read().splitlines() if E2E.exists() else []
    if "decode" in what:
        print("decoding, rows/s:  tables  " + "  ".join(f"{b} beam{'s' * (b > 1)}, {t} thread{'s' * (t > 1)}" for b in (1, 5) for t in threads))
        for n in (1, 2, 4, 8, 16, 32, 64):
            cells = [median_of(args.rounds, lambda: decode_rate(args.model, tables[:n], b, t))[0] for b in (1, 5) for t in threads]
            print(f"{n:25}  " + "  ".join(f"{c:16.0f}" for c in cells), flush=True)
    if "train" in what:
        for t in threads:
            m, low, high = median_of(args.rounds, lambda: train_rate(args.model, t))
            print(f"training, {t} thread(s): {m:.0f} tokens/s ({low:.0f} to {high:.0f})", flush=True)
    folder = WORK / "growth"
    for runs in (100, 10000, 1000000):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if "plan" in what:
            file = grid_of(folder, runs)
            peak = [0]

            def plan():
                seconds, kb = timed([SWEEP, "run", file, "--dry-run"], folder)
                peak[0] = max(peak[0], kb)
                return seconds
            m, low, high = median_of(args.rounds if runs < 1000000 else 1, plan)
            print(f"plan of {runs} runs: {m:.3f} s ({low:.3f} to {high:.3f})" + (f", {peak[0] / 1e6:.1f} GB" if peak[0] > 500000 else ""), flush=True)
        if "report" in what:
            subprocess.run([built("tests/test_store"), "--make", folder, "g", str(runs), str(runs)], check=True, capture_output=True)
            for name, command in {"report --best": [SWEEP, "report", "--best"],
                                  "report": [SWEEP, "report"],
                                  "view, first 5": ["sqlite3", "results.db", "SELECT * FROM leaderboard LIMIT 5"]}.items():
                m, low, high = median_of(args.rounds, lambda: timed(command, folder)[0])
                print(f"{name}, {runs} runs: {m * 1e3:.1f} ms ({low * 1e3:.1f} to {high * 1e3:.1f})", flush=True)
    shutil.rmtree(folder, ignore_errors=True)


main()
