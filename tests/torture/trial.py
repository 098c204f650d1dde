"""trial.py - what the trials of this folder share: a tiny sweep, what it must come to, and the frame of a part.

A trial disturbs one sweep, runs the same command again without the disturbance, and compares every byte of every
artifact and every recorded number with a sweep that nobody disturbed. A part is a program

    PART.py --seconds S --seed N [--case K]

that makes trials 0, 1, 2, ... until the time is over, or trial K alone. What trial K does follows from seed and K; how
it meets the programs (which signal finds which moment) also from the machine. One line for each failure, with the
command that repeats it; the last line is `PART tries=N failures=M`. Exit status 0, 1, or 77: skipped, and why.
"""
import argparse
import atexit
import collections
import ctypes
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path(os.environ.get("SOURCE_DIR", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("BUILD_DIR", SOURCE / "build/release"))
SWEEP = BUILD / "sweep"
FAKE = BUILD / "tests/fake-runner"
PRELOAD = BUILD / "tests/torture-preload.so"

LIMIT = 120  # seconds after which a program hangs; the sweeps here take one
PLACES = ["scheduler", "check", "train", "decode", "other"]  # as in preload.c
CALLS = ["malloc", "write", "fsync", "rename", "open", "mmap", "fork", "pipe", "exec"]
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS}


class Failure(Exception):
    """The programs did what they must not do."""


class Skip(Exception):
    """This machine cannot do that trial."""


def fail(text):
    raise Failure(text)


SPEC = """name: tiny
model: demo
dataset:
  train: train.txt
  eval: {dev: {input: dev.txt, references: dev.out}}
method: grid
metric: {name: dev_bleu, goal: maximize}
parameters:
  num_virtual_tokens: [0, 3]
  num_beams: [1, 2]
  temperature: [0.5, 1.0]
  do_sample: true
  max_new_tokens: 6
  prefix_projection: true
  learning_rate: 0.005
  batch_size: 4
  train_limit: 12
"""


def write_sweep(folder, spec=SPEC):
    data = SOURCE / "sweeps/data"
    (folder / "s.yaml").write_text(spec)
    (folder / "train.txt").write_text("".join((data / "train.txt").read_text().splitlines(True)[:20]))
    (folder / "dev.txt").write_text("".join((data / "dev.txt").read_text().splitlines(True)[:3]))
    wanted = [line for line in (data / "dev.out").read_text().splitlines(True) if line.split("||")[0] in ("0", "1", "2")]
    (folder / "dev.out").write_text("".join(wanted))


def command(*more, file="s.yaml", db="results.db"):
    return [str(SWEEP), "run", file, "--db", db, *more]


def environment(fake_ms=None, **more):
    """The caller's, without what would change a sweep; with a runner that pretends when fake_ms is a number."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("SWEEP_", "FAKE_", "FAULT_", "OMP_", "GOMP_", "BLIS_"))}
    env["LC_ALL"] = "C.UTF-8"
    if fake_ms is not None:
        env["SWEEP_RUNNER"] = str(FAKE)
        env["FAKE_MS"] = str(fake_ms)
        env["FAKE_LOG"] = "made.log"
    env.update({k: str(v) for k, v in more.items()})
    return env


def start(folder, argv, env, out="out", err="err", before=None, **more):
    """In a process group of its own in our session, so that a stop from the terminal works as it does in a shell."""
    def prepare():
        os.setpgid(0, 0)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):  # nohup and background jobs leave them ignored
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if before:
            before()
    with open(folder / out, "wb") as o, open(folder / err, "wb") as e:
        return subprocess.Popen(argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=more.pop("stdout", o),
                                stderr=more.pop("stderr", e), preexec_fn=prepare, **more)


def wait(process, what, limit=LIMIT):
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        state = stacks(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        fail(f"{what} hangs: not ended after {limit} s ({state})")


def stacks(pid):
    """What it and its children wait for, for the message of a hang."""
    seen = []
    for one in [pid, *children(pid)]:
        try:
            text = Path(f"/proc/{one}/status").read_text()
            where = Path(f"/proc/{one}/wchan").read_text() or "-"
            seen.append(f"{one} {re.search('Name:.(.*)', text)[1]} {re.search('State:.(.*)', text)[1]} {where}")
        except OSError:
            pass
    return "; ".join(seen)


def children(pid):
    """The living and dead children of a process."""
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def run(folder, argv, env, what="the sweep", limit=LIMIT, **more):
    process = start(folder, argv, env, **more)
    return wait(process, what, limit)


def said(folder, name="err"):
    return (folder / name).read_bytes().decode("utf-8", "replace")


# ---- what was made ----

def artifact_bytes(place):
    """{key/file: digest} of all artifacts; names of folders that are none are kept, so they show."""
    found = {}
    for path in sorted(place.glob("**/*")):
        name = path.relative_to(place)
        if path.is_file() and name.parts[0] not in ("logs", "jobs", ".lock"):
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


TIMES = re.compile(r"(_at|^at|seconds|id|path|dir|pid|inode|mtime_ns|created|position)$")


def opened(db):
    """A copy of a database that nobody has open now: looking must not change it, not even by recovering its log."""
    copy = Path(ROOT) / "looked at"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in (Path(db), Path(f"{db}-wal")):
        if path.exists():
            shutil.copy(path, copy / path.name)
    return sqlite3.connect(copy / Path(db).name)


def recorded(db):
    """Every number and text of the results, without what differs from one execution to the next."""
    base = opened(db)
    try:
        if base.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            fail("PRAGMA integrity_check finds damage")
        columns = [row[1] for row in base.execute("PRAGMA table_info(runs)")]
        kept = [c for c in columns if not TIMES.search(c) and c != "reason"]
        rows = {"runs": base.execute("SELECT id, " + ", ".join(f'"{c}"' for c in kept) + " FROM runs ORDER BY id").fetchall()}
        board = base.execute("SELECT * FROM leaderboard")
        names = [d[0] for d in board.description]
        rows["leaderboard"] = [tuple(v for n, v in zip(names, row) if n != "seconds") for row in board]
        rows["scores"] = base.execute("SELECT a.key, s.metric, s.value, s.signature FROM scores s JOIN artifacts a "
                                      "ON a.id = s.artifact_id ORDER BY 1, 2").fetchall()
        rows["hypotheses"] = base.execute("SELECT a.key, h.input, h.text, h.score, h.tokens, h.sentence_bleu FROM "
                                          "hypotheses h JOIN artifacts a ON a.id = h.artifact_id ORDER BY 1, 2").fetchall()
        rows["artifacts"] = base.execute("SELECT key, kind, split, state, count FROM artifacts ORDER BY 1").fetchall()
        rows["sweeps"] = base.execute("SELECT name, status FROM sweeps").fetchall()
        rows["running"] = base.execute("SELECT count(*) FROM attempts WHERE outcome = 'running'").fetchall()
        return rows
    finally:
        base.close()


def crashed_workers(db):
    """The reasons of attempts that ended by a signal which only a defect sends."""
    if not os.path.exists(db):
        return []
    base = opened(db)
    try:
        reasons = [r for r, in base.execute("SELECT reason FROM attempts WHERE reason IS NOT NULL")]
    except sqlite3.Error:
        return []
    finally:
        base.close()
    words = "|".join(re.escape(signal.strsignal(s).split(" (")[0]) for s in CRASHES)
    return [r for r in reasons if re.search(rf"signal ({'|'.join(str(int(s)) for s in CRASHES)})\b|{words}|SIG(SEGV|ABRT|BUS|FPE|ILL)", r)]


class Reference:
    """The undisturbed sweep: made once in a part, with the real runner or the one that pretends."""
    def __init__(self, folder, fake):
        folder.mkdir()
        write_sweep(folder)
        status = run(folder, command(), environment(0 if fake else None))
        if status != 0:
            raise SystemExit(f"the undisturbed sweep ends with status {status}: {said(folder)}")
        self.bytes = artifact_bytes(folder / "results.artifacts")
        self.rows = recorded(folder / "results.db")
        self.n_runs = len(self.rows["runs"])
        if not self.bytes or not self.n_runs:
            raise SystemExit("the undisturbed sweep made nothing")


_references = {}


def reference(fake=False):
    if fake not in _references:
        _references[fake] = Reference(Path(ROOT) / ("fake" if fake else "real"), fake)
    return _references[fake]


def compare(folder, fake=False, db="results.db"):
    """After the end: everything is there, and as it would have been."""
    ref = reference(fake)
    base = folder / db
    place = Path(str(base).removesuffix(".db") + ".artifacts")
    for path in place.glob("**/*"):
        if ".tmp." in path.name or ".unusable" in path.name:
            fail(f"left over: {path.relative_to(folder)}")
    now = artifact_bytes(place)
    if now != ref.bytes:
        names = sorted(n for n in {**now, **ref.bytes} if now.get(n) != ref.bytes.get(n))
        fail(f"artifacts differ from the undisturbed sweep's in {len(names)} files: {', '.join(names[:3])}")
    rows = recorded(base)
    for table, expected in ref.rows.items():
        if rows[table] != expected:
            odd = [r for r in rows[table] if r not in expected][:2] or [r for r in expected if r not in rows[table]][:2]
            fail(f"{table} differs from the undisturbed sweep's: {odd}")


def compare_part(folder, fake=False, db="results.db"):
    """In the middle: what is recorded as done is there, and as it would have been."""
    ref = reference(fake)
    base = folder / db
    place = Path(str(base).removesuffix(".db") + ".artifacts")
    if not base.exists():
        return
    con = opened(base)
    try:
        done = [key for key, in con.execute("SELECT key FROM artifacts WHERE state = 'done'")]
        scores = con.execute("SELECT a.key, s.metric, s.value, s.signature FROM scores s JOIN artifacts a "
                             "ON a.id = s.artifact_id WHERE a.state = 'done'").fetchall()
    except sqlite3.OperationalError as e:
        if "no such table" not in str(e):  # it ended before the first transaction
            raise Failure(f"the database cannot be read afterwards: {e}")
        return
    except sqlite3.DatabaseError as e:
        raise Failure(f"the database cannot be read afterwards: {e}")
    finally:
        con.close()
    now = artifact_bytes(place)
    for key in done:
        want = {n: d for n, d in ref.bytes.items() if n.startswith(key)}
        have = {n: d for n, d in now.items() if n.startswith(key)}
        if want != have:
            fail(f"recorded as done, but not as it must be: {key[:16]} ({len(have)} files of {len(want)})")
    wrong = [s for s in scores if s not in ref.rows["scores"]]
    if wrong:
        fail(f"a wrong score is recorded: {wrong[0]}")


def finish(folder, fake=False, env=None, argv=None, what="the sweep, run again"):
    """The same command without a disturbance: ends with 0, and all is as it would have been."""
    status = run(folder, argv or command(), env or environment(0 if fake else None), what, out="out2", err="err2")
    if status != 0:
        fail(f"{what} ends with status {status}: {last_line(said(folder, 'err2'))}")
    if f"all {reference(fake).n_runs} runs are done" not in said(folder, "out2"):
        fail(f"{what} does not say that all runs are done: {said(folder, 'out2')[:200]!r}")
    compare(folder, fake)


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "(nothing said)"


def expect_sentence(folder, status, err="err"):
    """A status other than 0 comes with words for people: at least one line of ours, and none that should not be."""
    text = said(folder, err)
    if status not in (0, 1, 2, 130):
        fail(f"exit status {status}, which is not documented: {last_line(text)}")
    if status == 0:
        return
    ours = [line for line in text.splitlines() if line.startswith(("sweep: ", "failed: ", "interrupted"))]
    if not ours:
        fail(f"exit status {status} without a sentence: {last_line(text)}")
    for word in ("(null)", ": Success", "Assertion", "no error", "not an error"):
        if word in text:
            fail(f"a sentence that says nothing ({word}): {next(l for l in text.splitlines() if word in l)[:300]}")
    if len([line for line in ours if line.startswith("sweep: ")]) > 3:
        fail(f"{len(ours)} sentences where one would do: {ours[0][:200]}")


# ---- nothing stays behind ----

def adopt_orphans():
    """Orphans of our programs become our children, so that none is overlooked."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def expect_no_orphans(killed, limit=20):
    """A scheduler that ended by itself leaves no process at all; one that was killed, none that lives on."""
    until = time.monotonic() + limit
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid and not killed:
            fail(f"the scheduler ended without waiting for a child ({pid})")
        if pid:
            continue
        if time.monotonic() > until:
            alive = children(os.getpid())
            state = stacks(os.getpid())
            for one in alive:
                os.kill(one, signal.SIGKILL)
            fail(f"processes live on after the scheduler: {state}")
        time.sleep(0.02)


# ---- counters of the preload ----

class Map:
    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(16 * len(PLACES) * len(CALLS)))

    def read(self):
        """{(place, call): (calls, failures)}"""
        values = struct.unpack(f"{2 * len(PLACES) * len(CALLS)}Q", self.path.read_bytes())
        cells = [(p, c) for p in PLACES for c in CALLS]
        return {cell: (values[2 * i], values[2 * i + 1]) for i, cell in enumerate(cells)}


def preload_link():
    """The preload by a name without a space: LD_PRELOAD's list is parted by them."""
    path = Path(tempfile.gettempdir()) / f"torture-preload-{os.getpid()}.so"
    if " " not in str(PRELOAD):
        return PRELOAD
    if not path.exists():
        path.symlink_to(PRELOAD)
        atexit.register(path.unlink)
    return path


# ---- the frame ----

ROOT = None


def main(part, one, prepare=None):
    """one(rng, case, folder) makes one trial: returns a word for the table, raises Failure or Skip."""
    global ROOT
    parser = argparse.ArgumentParser(description=f"torture trials: {part}")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int)
    parser.add_argument("--keep", action="store_true", help="leave the folders of trials that failed, and say where")
    options = parser.parse_args()
    for needed in (SWEEP, FAKE, PRELOAD):
        if not needed.exists():
            print(f"{part}: {needed} is missing: cmake --build {BUILD}")
            sys.exit(1)
    adopt_orphans()
    began = time.monotonic()
    tries = failures = 0
    outcomes = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="torture ") as ROOT:  # a space in every path, on purpose
        os.chmod(ROOT, 0o755)
        if prepare:
            prepare(options.seed)
        case = options.case if options.case is not None else 0
        while True:
            folder = Path(ROOT) / f"case {case}"
            folder.mkdir()
            write_sweep(folder)
            try:
                word = one(random.Random(f"{options.seed}/{case}"), case, folder)
                outcomes[word] += 1
                tries += 1
            except Skip as why:
                outcomes[f"skipped: {why}"] += 1
            except Failure as why:
                tries += 1
                failures += 1
                print(f"FAIL {part} case {case}: {why}; repeat: python3 tests/torture/{Path(sys.argv[0]).name} "
                      f"--seed {options.seed} --case {case}", flush=True)
                if options.keep:
                    kept = tempfile.mkdtemp(prefix="torture-kept-")
                    shutil.copytree(folder, kept, dirs_exist_ok=True)
                    print(f"  kept: {kept}")
            shutil.rmtree(folder, ignore_errors=True)
            case += 1
            if options.case is not None or time.monotonic() - began >= options.seconds:
                break
    for word, n in sorted(outcomes.items(), key=lambda pair: -pair[1]):
        print(f"  {part}: {n} x {word}")
    if tries == 0:
        print(f"skipped: {part}: {'; '.join(outcomes)}")
        sys.exit(77)
    print(f"{part} tries={tries} failures={failures}")
    sys.exit(1 if failures else 0)
