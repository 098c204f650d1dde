#!/usr/bin/env python3
"""signals.py - random signals at random times to the scheduler, its workers and their groups; then the same command again
must come to the undisturbed sweep's bytes. With the real runner and the one that pretends, with a display and without."""
import os
import pty
import signal
import threading
import time

import trial
from trial import fail

DEADLY = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
STOPS = [signal.SIGSTOP, signal.SIGTSTP]
ENDS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def send(pid, number, group):
    try:
        (os.killpg if group else os.kill)(pid, number)
        return True
    except (ProcessLookupError, PermissionError):
        return False


def drain(fd):
    try:
        while os.read(fd, 65536):
            pass
    except OSError:
        pass
    os.close(fd)


def one(rng, case, folder):
    fake = rng.random() < 0.5
    env = trial.environment(rng.choice([0, 5, 20, 60]) if fake else None, TERM="xterm")
    argv = trial.command("--jobs", str(rng.choice([1, 2, 3])))
    display = None
    more = {}
    if rng.random() < 0.3:
        display, other = pty.openpty()
        more["stderr"] = other
    scheduler = trial.start(folder, argv, env, **more)
    if display is not None:
        os.close(other)
        threading.Thread(target=drain, args=(display,), daemon=True).start()
    span = rng.choice([0.02, 0.1, 0.4, 1.0])
    sent, hit_workers, stopped = set(), False, []
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        time.sleep(rng.random() * span)
        number = rng.choice(DEADLY + STOPS)
        target = rng.choice(["scheduler", "scheduler", "group", "worker", "worker's group", "all"])
        pause = rng.random() * 0.2
        pick = rng.random()
        if scheduler.poll() is not None:
            break
        workers = trial.children(scheduler.pid)
        if target in ("scheduler", "group"):
            pids = [scheduler.pid]
            sent.add(number)
        elif target == "all":
            pids = [scheduler.pid, *workers]
            sent.add(number)
        else:
            pids = [workers[int(pick * len(workers))]] if workers else []
        hit_workers |= any(pid != scheduler.pid for pid in pids)
        for pid in pids:
            # A worker is in our scheduler's group until it has made its own: not its group, then.
            send(pid, number, "group" in target and os.getpgid(pid) == pid if _alive(pid) else False)
        if number in STOPS:
            time.sleep(pause)
            for pid in pids:
                send(pid, signal.SIGCONT, False)
            stopped += pids
    for pid in stopped:
        send(pid, signal.SIGCONT, False)
    status = trial.wait(scheduler, "the disturbed sweep")
    allowed = {0}
    if sent & ENDS:
        allowed |= {130} | {-s for s in sent & ENDS}  # before the handlers are there they end us plainly
    if sent & {signal.SIGKILL, signal.SIGQUIT}:
        allowed |= {-s for s in sent}
    if hit_workers:
        allowed |= {1, 2}  # one attempt too many was killed, of a job or of the check
    if status not in allowed:
        fail(f"exit status {status} after signals {sorted(int(s) for s in sent)} to the scheduler: "
             f"{trial.last_line(trial.said(folder))}")
    trial.expect_no_orphans(killed=status < 0)
    trial.compare_part(folder, fake)
    trial.finish(folder, fake)
    trial.expect_no_orphans(killed=False)
    if fake:
        made = (folder / "made.log").read_text().split("\n")
        twice = sorted({line for line in made if line and made.count(line) > 1})
        if twice:
            fail(f"made twice: {twice[0]}")
    return f"exit status {status}" if status >= 0 else f"ended by {signal.Signals(-status).name}"


def _alive(pid):
    return os.path.exists(f"/proc/{pid}")


if __name__ == "__main__":
    trial.main("signals", one)
