#!/usr/bin/env python3
"""calls.py - the n-th malloc, write, fsync, rename, open, mmap, fork, pipe or execve fails (preload.c), in the scheduler
or in a check, train or decode job. Whatever happens then: no crash, no hang, no wrong byte, one clear sentence when the
status is not 0; and the same command without the fault comes to the undisturbed sweep's bytes.

First one sweep counts how often each place makes each call. Trial K takes the K-th pair of place and call in turn, and a
random one of its calls that no earlier trial of this seed took: short lists are gone through completely."""
import errno
import random

import trial
from trial import fail

ERRNOS = {
    "malloc": [errno.ENOMEM],
    "write": [errno.ENOSPC, errno.EIO, errno.EINTR, errno.EDQUOT, errno.EFBIG],
    "fsync": [errno.EIO, errno.ENOSPC],
    "rename": [errno.EIO, errno.ENOSPC, errno.EACCES],
    "open": [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.ENOMEM, errno.EINTR],
    "mmap": [errno.ENOMEM],
    "fork": [errno.EAGAIN, errno.ENOMEM],
    "pipe": [errno.EMFILE, errno.ENFILE],
    "exec": [errno.ENOMEM, errno.EACCES, errno.ENOEXEC],
}
# What must be met at all, or the preload does nothing.
NEEDED = [("scheduler", c) for c in ("malloc", "write", "fsync", "open", "mmap", "fork", "pipe", "exec")] + \
         [(p, c) for p in ("check", "train", "decode") for c in ("malloc", "write", "open", "mmap")] + \
         [(p, c) for p in ("train", "decode") for c in ("fsync", "rename")]
ONE = ("--jobs", "1", "--threads", "1")  # the same calls in the same order each time

cells, orders = [], {}


def prepare(seed):
    folder = trial.Path(trial.ROOT) / "counting"
    folder.mkdir()
    trial.write_sweep(folder)
    counters = trial.Map(folder / "map")
    env = trial.environment(LD_PRELOAD=trial.preload_link(), FAULT_MAP="map")
    if trial.run(folder, trial.command(*ONE), env) != 0:
        raise SystemExit(f"the sweep under the preload fails: {trial.said(folder)}")
    counts = counters.read()
    for cell in NEEDED:
        if not counts[cell][0]:
            raise SystemExit(f"the preload counts no {cell[1]} in {cell[0]}: it has no effect there")
    for place in trial.PLACES[:4]:
        print("  calls counted:", place, ", ".join(f"{c} {counts[place, c][0]}" for c in trial.CALLS))
    cells.extend(cell for cell in sorted(counts) if counts[cell][0] and cell[0] != "other")
    random.Random(f"cells {seed}").shuffle(cells)
    for cell in cells:
        n = counts[cell][0]
        orders[cell] = random.Random(f"{cell} {seed}").sample(range(1, n + 1), n)


def one(rng, case, folder):
    place, call = cells[case % len(cells)]
    order = orders[place, call]
    n = order[case // len(cells) % len(order)]
    code = rng.choice(ERRNOS[call])
    sticky = rng.random() < 0.25 and code != errno.EINTR  # nobody is interrupted for ever
    counters = trial.Map(folder / "map")
    fault = {"LD_PRELOAD": trial.preload_link(), "FAULT_MAP": "map", "FAULT_WHERE": place, "FAULT_CALL": call, "FAULT_N": n,
             "FAULT_ERRNO": code}
    if sticky:
        fault["FAULT_STICKY"] = 1
    what = f"{place}: {call} {n} of {len(order)} fails with {errno.errorcode[code]}{', and all later ones' if sticky else ''}"
    try:
        status = trial.run(folder, trial.command(*ONE), trial.environment(**fault))
        met = counters.read()[place, call][1]
        if not met:
            trial.finish(folder)
            return "fault not met"
        if status < 0:
            fail(f"the scheduler is ended by signal {-status}")
        trial.expect_sentence(folder, status)
        crashed = trial.crashed_workers(folder / "results.db")
        if crashed:
            fail(f"a worker crashed: {crashed[0][:200]}")
        trial.expect_no_orphans(killed=False)
        trial.compare_part(folder)
        trial.finish(folder)
    except trial.Failure as why:
        raise trial.Failure(f"{what}: {why}") from None
    return f"exit status {status}"


if __name__ == "__main__":
    trial.main("calls", one, prepare)
