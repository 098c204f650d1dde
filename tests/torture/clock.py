#!/usr/bin/env python3
"""clock.py - the time of day jumps, backwards and forwards, while the scheduler runs (preload.c), and between runs;
sometimes the scheduler is killed as well. Durations stay what they were, the order of runs too, and the same command
goes on and comes to the undisturbed sweep's bytes."""
import os
import signal
import time

import trial
from trial import fail

JUMPS = [-1, -60, -3600, -86400, -40 * 365 * 86400, 1, 3600, 86400, 12 * 365 * 86400]


def jumps(rng):
    return ",".join(f"{at}:{rng.choice(JUMPS)}" for at in sorted(rng.sample(range(1, 120), rng.choice([1, 2, 5]))))


def durations(folder):
    base = trial.opened(folder / "results.db")
    try:
        for table in ("attempts", "artifacts"):
            for row, seconds in base.execute(f"SELECT id, seconds FROM {table} WHERE seconds IS NOT NULL"):
                if not 0 <= seconds < trial.LIMIT:
                    fail(f"{table} {row} took {seconds} seconds")
    finally:
        base.close()


def report(folder):
    trial.run(folder, [str(trial.SWEEP), "report", "--format", "csv", "--top", "0"], trial.environment(), out="report")
    lines = trial.said(folder, "report").splitlines()
    names = lines[0].split(",") if lines else []
    kept = [i for i, name in enumerate(names) if name not in ("seconds",)]
    return [[line.split(",")[i] for i in kept] for line in lines if line.count(",") == len(names) - 1]


def one(rng, case, folder):
    expected = orders.get("report")
    argv = trial.command("--jobs", str(rng.choice([1, 2])))
    env = trial.environment(LD_PRELOAD=trial.preload_link(), CLOCK_JUMPS=jumps(rng))
    kill = rng.random() < 0.5
    after = rng.random() * 0.5
    process = trial.start(folder, argv, env)
    if kill:
        time.sleep(after)
        if process.poll() is None:
            os.kill(process.pid, rng.choice([signal.SIGKILL, signal.SIGINT]))
    status = trial.wait(process, "the sweep whose clock jumps")
    if not kill and status != 0:
        fail(f"exit status {status} with CLOCK_JUMPS={env['CLOCK_JUMPS']}: {trial.last_line(trial.said(folder))}")
    trial.expect_no_orphans(killed=status < 0)
    trial.compare_part(folder)
    shift = rng.choice(JUMPS)
    for name in ("train.txt", "dev.txt", "dev.out"):  # the same bytes with another time on them
        os.utime(folder / name, (time.time(), max(0, time.time() + shift)))
    trial.finish(folder, env=trial.environment(LD_PRELOAD=trial.preload_link(), CLOCK_JUMPS=f"1:{shift}"))
    durations(folder)
    now = report(folder)
    if expected and now != expected:
        fail("the report's order or numbers differ from the undisturbed sweep's")
    return "killed, and resumed" if kill else "ran through"


orders = {}


def prepare(seed):
    trial.reference()
    orders["report"] = report(trial.Path(trial.ROOT) / "real")
    if len(orders["report"]) != trial.reference().n_runs + 1:
        raise SystemExit("the undisturbed sweep's report cannot be read")


if __name__ == "__main__":
    trial.main("clock", one, prepare)
