"""Memory of workers that share one model: peak of the sums of RSS and PSS over all sweep-runner processes.

    python3 bench/memory.py [--jobs 1,2,4]

`sweep run` on distilgpt2's shape (bench/make_model.py), 32 E2E tables, 5 beams at most: as many decode jobs of the base model as
workers, and for the last line as many trainings. PSS counts a page that n processes share as 1/n in each, so its sum is what
the machine has to have. Read from /proc/PID/smaps_rollup twenty times a second.
"""
import argparse, shutil, time
from common import *


def peaks(folder, sweep_file, jobs):
    command = [SWEEP, "run", sweep_file, "--db", f"m{jobs}.db", "--jobs", str(jobs), "--threads", "1", "--quiet"]
    p = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = {"Rss": 0, "Pss": 0, "workers": 0}
    while p.poll() is None:
        sums = {"Rss": 0, "Pss": 0, "workers": 0}
        children = Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split() if p.poll() is None else []
        for child in children:
            try:
                for line in open(f"/proc/{child}/smaps_rollup"):
                    name, _, rest = line.partition(":")
                    if name in sums:
                        sums[name] += int(rest.split()[0])
                sums["workers"] += 1
            except (OSError, ProcessLookupError):
                pass
        most = {k: max(most[k], sums[k]) for k in most}
        time.sleep(0.05)
    if p.returncode:
        sys.exit(f"sweep run failed: {p.returncode}")
    return most


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", default="1,2,4")
    args = parser.parse_args()
    machine(1)
    folder = WORK / "memory"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "dev.txt").write_text("".join(open(E2E / "dev.txt", encoding="utf-8").readlines()[:32]), encoding="utf-8")
    head = (f"name: m\nmodel: {WORK / 'distilgpt2-shape'}\ndataset: {{train: {E2E / 'train.txt.gz'}, "
            "eval: {dev: {input: dev.txt}}}\nparameters:\n  max_new_tokens: 30\n")
    for n in [int(j) for j in args.jobs.split(",")]:
        kinds = {"decode": "  num_virtual_tokens: 0\n  do_sample: true\n  num_beams: 5\n  seed: [" + ", ".join(str(i) for i in range(1, 2 * n + 1)) + "]\n",
                 "train": "  num_virtual_tokens: 5\n  prefix_projection: true\n  batch_size: 16\n  train_limit: 48\n  num_beams: 1\n"
                          "  learning_rate: [" + ", ".join(f"{i}e-5" for i in range(1, n + 1)) + "]\n"}
        for kind, parameters in kinds.items():
            (folder / "s.yaml").write_text(head + parameters)
            for f in folder.glob("m*"):
                shutil.rmtree(f) if f.is_dir() else f.unlink()
            most = peaks(folder, "s.yaml", n)
            print(f"{kind}, {most['workers']} workers at a time: RSS {most['Rss'] / 1024:.0f} MiB in all, PSS {most['Pss'] / 1024:.0f} MiB", flush=True)


main()
