"""hostile.py - what hostile_files.py and hostile_hub.py share: mutations of bytes, how a program is run and judged, and the
frame of a part. Everything that case K does follows from seed and K alone.

    PART.py [--seconds S | --count M] [--seed N] [--case K]

A failure is one line with the command that repeats it; the last line is `PART tries=N failures=M`. Exit status 0, 1, or
77: skipped, and why.
"""
import argparse
import collections
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path(os.environ.get("SOURCE_DIR", Path(__file__).resolve().parents[2]))
ASAN = Path(os.environ.get("ASAN_DIR", SOURCE / "build/asan"))
SWEEP, RUNNER = ASAN / "sweep", ASAN / "sweep-runner"
LIMIT = 120  # seconds after which a program hangs; a try takes one
REPORTS = re.compile(rb"(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:|BUG at )[^\n]*")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")
NUMBERS = [b"-1", b"0", b"1e308", b"1e999", b"-0", b"2147483648", b"4294967296", b"9223372036854775807",
           b"18446744073709551616", b"99999999999999999999999", b"0.5", b"NaN", b"true", b"null", b'"1"', b"[]", b"{}"]


class Failure(Exception):
    pass


# ---- mutations ----

def truncated(rng, data):
    return data[:rng.randrange(len(data) + 1)]


def flipped(rng, data):
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def inserted(rng, data):
    what = rng.choice([b"\0", b"\0" * 100, b"\n", b"\r\n", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x1b[2J", b"\xc2\x9b31m",
                       b"\xe2\x80\xae", b"\"", b"{", b"[" * 5000, b"||", b"\t", b" " * 3000, rng.randbytes(16)])
    at = rng.randrange(len(data) + 1)
    return data[:at] + what + data[at:]


def cut(rng, data):
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:a] + data[min(b, a + 200):]


def doubled(rng, data):
    a = rng.randrange(len(data) + 1)
    piece = data[a:a + rng.choice([1, 10, 100, 1000])]
    return data[:a] + piece * rng.choice([2, 2, 3, 500]) + data[a:]


def numbered(rng, data):
    """A number becomes another, or a huge one."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", data[:1 << 20]))
    if not found:
        return inserted(rng, data)
    m = rng.choice(found)
    return data[:m.start()] + rng.choice(NUMBERS) + data[m.end():]


def worded(rng, data):
    """A word becomes one from elsewhere in the file."""
    found = list(re.finditer(rb"[A-Za-z_]{2,}", data[:1 << 20]))
    if not found:
        return flipped(rng, data)
    a, b = rng.choice(found), rng.choice(found)
    return data[:a.start()] + rng.choice([b[0], b"", b"x" * 300]) + data[a.end():]


def marked(rng, data):
    return rng.choice([b"\xef\xbb\xbf" + data, b"\xff\xfe" + data, data.decode("latin-1").encode("utf-16"),
                       data.replace(b"\n", b"\r\n"), data.replace(b"\n", b"\r"), b"\xef\xbb\xbf", b"", b"\n", b"\0" * 64])


MUTATIONS = [truncated, flipped, flipped, inserted, inserted, cut, doubled, numbered, numbered, worded, marked]


def mutate(rng, data):
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data = rng.choice(MUTATIONS)(rng, data)[:1 << 24]
    return data


# ---- programs ----

def environment(**more):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("SWEEP_", "FAKE_", "HF_", "TRANSFORMERS_", "OMP_", "GOMP_")) and not k.lower().endswith("_proxy")}
    env.update(LC_ALL="C.UTF-8", OMP_NUM_THREADS="1", no_proxy="*",
               ASAN_OPTIONS="exitcode=99:allocator_may_return_null=1:max_allocation_size_mb=4096:detect_leaks=1",
               UBSAN_OPTIONS="exitcode=99:print_stacktrace=1")
    env.update({k: str(v) for k, v in more.items()})
    return env


def run(folder, argv, env, limit=LIMIT, allowed=(0, 1, 2), people=True):
    """The exit status. people: what it prints is for them, and a status of 2 says why."""
    try:
        done = subprocess.run([str(a) for a in argv], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failure(f"hangs: {name_of(argv)} has not ended after {limit} s")
    report = REPORTS.search(done.stderr) or REPORTS.search(done.stdout)
    if report:
        raise Failure(f"{name_of(argv)}: {report[0].decode('utf-8', 'replace')}{place_of(done.stderr)}")
    if done.returncode not in allowed:
        raise Failure(f"{name_of(argv)} ends with status {done.returncode}")
    if people:
        said = done.stderr.decode("utf-8", "replace")
        bad = CONTROL.search(said) or CONTROL.search(done.stdout.decode("utf-8", "replace"))
        if bad:
            raise Failure(f"{name_of(argv)} prints the control character U+{ord(bad[0]):04X}")
        if done.returncode == 2 and not re.search(r"^sweep: \S", said, re.M):
            raise Failure(f"{name_of(argv)} ends with status 2 and no sentence")
        if "(null)" in said or ": Success" in said:
            raise Failure(f"{name_of(argv)}: a sentence that says nothing: {said[-300:]!r}")
    run.out = done.stdout
    return done.returncode


def name_of(argv):
    return " ".join([Path(argv[0]).name] + [str(a) for a in argv[1:3]])


def place_of(stderr):
    m = re.search(rb"#\d+ 0x\w+ in (\S+) (\S*?)((?:src|runner)/\S+)", stderr)
    return f" in {m[1].decode()} {m[3].decode()}" if m else ""


# ---- the frame ----

def main(part, one, prepare):
    """prepare(folder) makes what all tries begin with; one(rng, case, folder, base) is a try, and returns a word."""
    parser = argparse.ArgumentParser(description=f"torture trials: {part}")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int)
    parser.add_argument("--keep", action="store_true", help="leave the folders of tries that failed, and say where")
    options = parser.parse_args()
    for program in (SWEEP, RUNNER):
        if not program.exists():
            print(f"skipped: {part}: {program} is not built (cmake --preset asan && cmake --build build/asan)")
            sys.exit(77)
    if options.seconds is None and options.count is None:
        options.count = 100
    began, tries, failures, outcomes = time.monotonic(), 0, 0, collections.Counter()
    with tempfile.TemporaryDirectory(prefix="hostile ") as root:  # a space in every path, on purpose
        base = Path(root) / "base"
        base.mkdir()
        prepare(base)
        case = options.case if options.case is not None else 0
        while True:
            folder = Path(root) / f"case {case}"
            folder.mkdir()
            tries += 1
            try:
                outcomes[one(random.Random(f"{part}/{options.seed}/{case}"), case, folder, base)] += 1
            except Failure as why:
                failures += 1
                print(f"FAIL {part} case {case}: {why}; repeat: python3 tests/torture/{Path(sys.argv[0]).name} "
                      f"--seed {options.seed} --case {case}", flush=True)
                if options.keep:
                    kept = tempfile.mkdtemp(prefix="hostile-kept-")
                    shutil.copytree(folder, kept, dirs_exist_ok=True, symlinks=True)
                    print(f"  kept: {kept}")
            shutil.rmtree(folder, ignore_errors=True)
            case += 1
            if (options.case is not None or (options.count is not None and tries >= options.count) or
                    (options.seconds is not None and time.monotonic() - began >= options.seconds)):
                break
    for word, n in sorted(outcomes.items()):
        print(f"  {part}: {n} x {word}")
    print(f"{part} tries={tries} failures={failures}")
    sys.exit(1 if failures else 0)
