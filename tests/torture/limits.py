#!/usr/bin/env python3
"""limits.py - a disk that fills, limits on file size, descriptors, processes and memory, a folder that may not be written,
files that belong to somebody else. One clear sentence, no crash, no hang, nothing wrong recorded; and with the limit gone
the same command comes to the undisturbed sweep's bytes.

The disk and the trials with another user need root (mount, setuid); without it they are skipped, and the table says so."""
import os
import resource
import signal
import subprocess
import threading

import trial
from trial import Skip, fail

NOBODY = 65534


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def reachable():
    """Nobody must be able to read the programs and the bundled files."""
    test = subprocess.run(["test", "-x", str(trial.SWEEP), "-a", "-r", str(trial.SOURCE / "runner/demo/config.json")],
                          user=NOBODY, group=NOBODY, extra_groups=[])
    if test.returncode != 0:
        raise Skip("the build is in a folder that other users cannot read")


def limited(folder, what, low, high):
    def before():
        resource.setrlimit(what, (low, high))
    # Its words come through a pipe: a file would be under the limit, too.
    process = trial.start(folder, trial.command(*jobs), trial.environment(), before=before, stderr=subprocess.PIPE)
    reader = threading.Thread(target=lambda: (folder / "err").write_bytes(process.stderr.read()))
    reader.start()
    status = trial.wait(process, "the sweep")
    reader.join()
    return status


jobs = ("--jobs", "2")


def disturbed(folder, status, whole=True):
    if status < 0:
        fail(f"the scheduler is ended by signal {-status} ({signal.strsignal(-status)})")
    trial.expect_sentence(folder, status)
    crashed = trial.crashed_workers(folder / "results.db")
    if crashed:
        fail(f"a worker crashed: {crashed[0][:200]}")
    trial.expect_no_orphans(False)
    if whole:
        trial.compare_part(folder)
    return f"exit status {status}"


def disk_full(rng, folder):
    need_root()
    kb = rng.choice([rng.randrange(16, 400), rng.randrange(400, 4000)])
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kb}k,mode=777", "none", str(disk)],
                      stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("mount(2) is not allowed here")
    try:
        trial.write_sweep(folder)
        argv = ["--jobs", "2"]
        db = "disk/results.db"
        status = trial.run(folder, trial.command(*argv, db=db), trial.environment())
        if status < 0:
            fail(f"size {kb}k: the scheduler is ended by signal {-status}")
        trial.expect_sentence(folder, status)
        text = trial.said(folder)
        if status and not any(word in text for word in ("No space left", "no room", "full")):
            fail(f"size {kb}k: the sentence does not speak of room: {trial.last_line(text)}")
        trial.expect_no_orphans(False)
        trial.compare_part(folder, db=db)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        status2 = trial.run(folder, trial.command(*argv, db=db), trial.environment(), out="out2", err="err2")
        if status2 != 0:
            fail(f"size {kb}k: with room again the sweep ends with {status2}: {trial.last_line(trial.said(folder, 'err2'))}")
        trial.compare(folder, db=db)
        return f"exit status {status}"
    finally:
        subprocess.run(["umount", "-l", str(disk)])


def file_size(rng, folder):
    n = rng.choice([0, rng.randrange(1, 5000), rng.randrange(5000, 100000), rng.randrange(100000, 500000)])
    return disturbed(folder, limited(folder, resource.RLIMIT_FSIZE, n, resource.RLIM_INFINITY))


def descriptors(rng, folder):
    n = rng.randrange(4, 40)
    return disturbed(folder, limited(folder, resource.RLIMIT_NOFILE, n, n))


def memory(rng, folder):
    n = rng.randrange(12, 400) << 20
    status = limited(folder, resource.RLIMIT_AS, n, n)
    if status == 127 and "shared librar" in trial.said(folder):
        trial.finish(folder)
        return "too little to load the program"
    return disturbed(folder, status)


def give(folder, user):
    for path in [folder, *folder.glob("**/*")]:
        os.chown(path, user, user, follow_symlinks=False)


def as_nobody(folder, limit=None):
    def before():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    return trial.run(folder, trial.command(*jobs, "--threads", "4"), trial.environment(HOME=str(folder)), before=before)


def processes(rng, folder):
    need_root()
    reachable()
    give(folder, NOBODY)
    status = as_nobody(folder, rng.randrange(1, 8))
    return disturbed(folder, status)


def read_only(rng, folder):
    """Before there is anything; with a database; with artifacts that may not be added to."""
    need_root()
    reachable()
    kind = rng.choice(["empty", "database", "artifacts", "half"])
    if kind != "empty":
        process = trial.start(folder, trial.command(*jobs), trial.environment())
        if kind == "half":
            try:
                process.wait(rng.random() * 0.4)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
        trial.wait(process, "the first sweep")
        trial.expect_no_orphans(True)
    give(folder, NOBODY)
    place = folder / "results.artifacts" if kind == "artifacts" else folder
    if kind == "artifacts":
        # One run's texts are gone, so that there is something to do.
        gone = sorted(p.parent for p in place.glob("*/hypotheses.jsonl"))[rng.randrange(3)]
        for path in gone.iterdir():
            path.unlink()
        gone.rmdir()
    modes = {path: path.stat().st_mode for path in [place, *place.glob("**/*")]}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    for name in ("out", "err"):
        (folder / name).touch()
    status = as_nobody(folder)
    for path, mode in modes.items():
        path.chmod(mode)
    return f"{kind}: {disturbed(folder, status, kind != 'artifacts')}"


def somebody_else(rng, folder):
    """Root's database and artifacts in a folder that everybody may write."""
    need_root()
    reachable()
    process = trial.start(folder, trial.command(*jobs), trial.environment())
    try:
        process.wait(rng.random() * 0.5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    trial.wait(process, "the first sweep")
    trial.expect_no_orphans(True)
    if (folder / "results.artifacts").exists() and rng.random() < 0.5:
        for path in (folder / "results.artifacts").glob("**/*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
    folder.chmod(0o777)
    status = as_nobody(folder)
    return disturbed(folder, status)


KINDS = [disk_full, file_size, descriptors, memory, processes, read_only, somebody_else]


def one(rng, case, folder):
    kind = KINDS[case % len(KINDS)]
    try:
        word = kind(rng, folder)
        if kind is not disk_full:
            trial.finish(folder)
    except trial.Failure as why:
        raise trial.Failure(f"{kind.__name__}: {why}") from None
    except Skip as why:
        raise Skip(f"{kind.__name__}: {why}") from None
    return f"{kind.__name__}: {word}"


if __name__ == "__main__":
    trial.main("limits", one)
