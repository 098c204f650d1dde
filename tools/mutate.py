#!/usr/bin/env python3
"""mutate.py - do the tests notice when the code is wrong? Changes one operator or constant at a time in a copy of this
tree, builds what depends on it, and runs the tests that could see it until one fails.

    tools/mutate.py --seed 1 --count 60                    60 mutants, spread over the rooms
    tools/mutate.py --seed 1 --count 20 --room store       20 of src/store
    tools/mutate.py --seed 1 --count 60 --only 17          the 17th of them again
    tools/mutate.py --at src/base/job.c:154                every mutant of one line

Order, so that most mutants cost seconds: the unit tests named like the file, the other unit tests that contain its
object (by their symbols), then the scripts of the room. A crash, and five times the usual time, count as noticed. A
mutant that does not compile, or compiles to the same code, is none and is replaced by the next. The copy and its one
build folder stay in build/mutants for the next time.

Prints a line for each mutant and, at the end, the survivors with file:line and the change. Exit status 0 when at least
90% were noticed.
"""
import argparse
import collections
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
TREE = HERE / "build/mutants/tree"
BUILD = TREE / "build/mutants"
WHERE = HERE  # what is read: the copy, once it is made, so that this tree may change meanwhile
ROOMS = {"plan": "src/plan", "store": "src/store", "run": "src/run", "base": "src/base", "runner": "runner"}
# The scripts that could see a change in a room; the cheap and general ones first.
SCRIPTS = {
    "plan": ["cli/run", "cli/bad_input", "cli/spec_corpus", "cli/params", "cli/report", "cli/show", "faults/worker_fails"],
    "store": ["cli/run", "cli/database", "cli/report", "cli/show", "cli/check", "faults/worker_fails",
              "faults/reader", "faults/scheduler_killed", "faults/environment", "faults/interrupt"],
    "run": ["cli/run", "faults/worker_fails", "faults/interrupt", "faults/environment", "faults/scheduler_killed",
            "faults/deaf", "cli/database"],
    "base": ["cli/run", "cli/params", "cli/score", "cli/bad_input", "cli/show", "faults/worker_fails",
             "faults/environment", "faults/same_bytes"],
    "runner": ["cli/run", "cli/bad_input", "faults/same_bytes"],
}
BINARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&", "+": "-", "-": "+",
          "*": "+", "/": "*", "%": "/", "&": "|", "|": "&", "<<": ">>", ">>": "<<", "+=": "-=", "-=": "+=", "|=": "&=",
          "*=": "+="}
# clang-format puts spaces around binary operators and none behind unary ones, so ` * ` is a product and `*p` is not.
PATTERN = re.compile(
    r"(?P<binary>(?<= )(?:[<>=!]=|&&|\|\||<<|>>|[+\-|*]=|[<>+\-*/%&|])(?= ))"
    r"|(?P<step>\+\+|--)"
    r"|(?P<bang>(?<![\w)])!(?=[\w(]))"
    r"|(?P<failure>\breturn -1\b)"
    r"|(?P<truth>\b(?:true|false)\b)"
    r"|(?P<number>(?<![\w.])(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=[uUlLfF]*\b)(?![\w.]*\.))")


def blank(text):
    """The text with comments, strings and what the preprocessor reads alone as spaces, so that columns stay."""
    def spaces(match):
        return re.sub(r"[^\n]", " ", match[0])
    text = re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'", spaces, text, flags=re.S)
    text = re.sub(r"^[ \t]*#[ \t]*(?!define\b)[^\n]*", spaces, text, flags=re.M)
    return re.sub(r"\b(?:_Static_assert|__attribute__|assert|BUG)\b[^;]*;", spaces, text)


def changed(kind, old):
    if kind == "binary":
        return BINARY.get(old)
    if kind == "step":
        return "--" if old == "++" else "++"
    if kind == "bang":
        return ""
    if kind == "failure":
        return "return 0"
    if kind == "truth":
        return "false" if old == "true" else "true"
    if re.fullmatch(r"\d+", old):
        return {"0": "1", "1": "0"}.get(old, str(int(old) + 1))
    if old.startswith("0x"):
        return hex(int(old, 16) + 1)
    return str(float(old) * 2 if float(old) else 1.0)


def sites(room):
    found = []
    for path in sorted((WHERE / ROOMS[room]).glob("*.c")):
        text = path.read_text()
        for match in PATTERN.finditer(blank(text)):
            new = changed(match.lastgroup, match[0])
            if new is not None:
                found.append((room, path.relative_to(WHERE), match.start(), match[0], new))
    return found


def choose(seed, count, rooms):
    """The mutants in the order in which they are tried, the rooms in turn, and more than count: some are none."""
    lists = {}
    for room in rooms:
        lists[room] = sites(room)
        random.Random(f"{seed} {room}").shuffle(lists[room])
    turn = []
    for i in range(max(len(one) for one in lists.values())):
        turn += [lists[room][i] for room in rooms if i < len(lists[room])]
    return turn


def copy_tree():
    TREE.mkdir(parents=True, exist_ok=True)
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=HERE, check=True, capture_output=True,
                           text=True).stdout.splitlines()
    wanted = set(names)
    for path in TREE.glob("*"):
        if path.name != "build":
            for old in ([path] if path.is_file() else path.glob("**/*")):
                if old.is_file() and str(old.relative_to(TREE)) not in wanted:
                    old.unlink()
    for name in names:
        source, target = HERE / name, TREE / name
        if not source.is_file():
            continue
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def build(*targets, quiet=True):
    return subprocess.run(["cmake", "--build", str(BUILD), "--target", *(targets or ("all",))],
                          stdout=subprocess.PIPE if quiet else None, stderr=subprocess.STDOUT, text=True)


def limits():
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):  # nohup and background jobs leave them ignored
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


def execute(argv, limit, env=None):
    """None when it succeeds or is skipped, else how it failed: twice, as a busy machine fails a test now and then."""
    why = execute_once(argv, limit, env)
    return why and execute_once(argv, limit, env)


def execute_once(argv, limit, env):
    process = subprocess.Popen(argv, cwd=BUILD / "tests", env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=limits)
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        status = "takes too long"
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    return None if status in (0, 77) else f"status {status}" if isinstance(status, int) else status


def script_command(name):
    env = dict(os.environ, SWEEP=str(BUILD / "sweep"), SOURCE_DIR=str(TREE), BUILD_DIR=str(BUILD), SANITIZED="", SEED="1")
    return ["bash", str(TREE / "tests" / f"{name}.sh")], env


class Tests:
    def __init__(self):
        self.usual = {}
        self.units = sorted(p.name for p in (BUILD / "tests").glob("test_*") if os.access(p, os.X_OK) and p.is_file())
        self.symbols = {unit: self.defined(BUILD / "tests" / unit) for unit in self.units}
        self.objects = {}
        for library in BUILD.glob("lib*.a"):
            name = None
            for line in subprocess.run(["nm", "--defined-only", str(library)], capture_output=True, text=True).stdout.splitlines():
                if line.endswith(".o:"):
                    name = line[:-3].removesuffix(".c")
                    self.objects.setdefault((library.stem, name), set())
                elif name and len(line.split()) == 3 and line.split()[1] in "TDBR":
                    self.objects[library.stem, name].add(line.split()[2])

    @staticmethod
    def defined(path):
        text = subprocess.run(["nm", "--defined-only", str(path)], capture_output=True, text=True).stdout
        return {line.split()[2] for line in text.splitlines() if len(line.split()) == 3}

    def measure(self, kept):
        """How long each unit test takes, and that none fails by itself; remembered for --kept."""
        file = BUILD / "usual.json"
        if kept and file.exists():
            self.usual = json.loads(file.read_text())
            return
        for unit in self.units:
            began = time.monotonic()
            if execute([f"./{unit}"], 300):
                sys.exit(f"{unit} fails without a mutant")
            self.usual[unit] = time.monotonic() - began
        file.write_text(json.dumps(self.usual))

    def for_file(self, room, path, quick):
        """Unit tests that contain the file's object: those named like it first, then the quick ones."""
        library = {"base": "libbase", "runner": "librunner_core"}.get(room, "libsweep_core")
        exported = self.objects.get((library, path.stem), set())
        holders = [u for u in self.units if exported & self.symbols[u]]
        def rank(unit):
            name = unit.removeprefix("test_")
            like = 0 if name == path.stem else 1 if path.stem.startswith(name + "_") or name.startswith(path.stem) else \
                2 if name.split("_")[0] == path.stem.split("_")[0] else 3
            return like, self.usual.get(unit, 0)
        return [u for u in sorted(holders, key=rank) if not quick or rank(u)[0] < 3 or rank(u)[1] < 2]


def object_of(room, path):
    library = {"base": "base", "runner": "runner_core"}.get(room, "sweep_core")
    return BUILD / f"CMakeFiles/{library}.dir/{path}.o"


def try_mutant(tests, mutant, quick):
    """(verdict, by whom): none, noticed, survived."""
    room, path, at, old, new = mutant
    file = TREE / path
    original = file.read_text()
    obj = object_of(room, path)
    before = obj.read_bytes()  # no debug information, no line numbers: equal code is equal bytes
    file.write_text(original[:at] + new + original[at + len(old):])
    try:
        if build(str(obj.relative_to(BUILD))).returncode != 0:
            return "none", "does not compile"
        if obj.read_bytes() == before:
            return "none", "compiles to the same code"
        for unit in tests.for_file(room, path, quick):
            made = build(unit)
            if made.returncode != 0:
                return "none", "does not link"
            why = execute([f"./{unit}"], max(20, 5 * tests.usual.get(unit, 10)))
            if why:
                return "noticed", f"{unit} ({why})"
        if quick:
            return "survived", ""
        build("sweep", "sweep-runner", "fake-runner")
        for script in SCRIPTS[room]:
            if not (TREE / "tests" / f"{script}.sh").exists():
                continue
            argv, env = script_command(script)
            why = execute(argv, 300, env)
            if why:
                return "noticed", f"{script} ({why})"
        return "survived", ""
    finally:
        file.write_text(original)
        build(str(obj.relative_to(BUILD)))


def describe(mutant):
    room, path, at, old, new = mutant
    text = (WHERE / path).read_text()
    line = text.count("\n", 0, at) + 1
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    after = text[start:at] + new + text[at + len(old):end]
    return f"{path}:{line}: {old} -> {new or '(nothing)'}:  {after.strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--room", choices=sorted(ROOMS))
    parser.add_argument("--only", type=int, help="one of them, by its number")
    parser.add_argument("--from", dest="first", type=int, default=1, help="go on at this number")
    parser.add_argument("--at", help="FILE:LINE: every mutant of that line")
    parser.add_argument("--quick", action="store_true", help="only unit tests named like the file or done in two seconds: a first "
                        "look; try what survives again without it")
    parser.add_argument("--kept", action="store_true", help="the copy as it is since the last time, although this tree changed")
    parser.add_argument("--list", action="store_true", help="print the mutants, try none")
    options = parser.parse_args()
    global WHERE
    if not options.list:
        if not options.kept:
            copy_tree()
        WHERE = TREE
    mutants = choose(options.seed, options.count, [options.room] if options.room else list(ROOMS))
    if options.at:
        everything = [m for room in ROOMS for m in sites(room)]
        mutants = [m for m in everything if describe(m).startswith(options.at + ":")]
        options.count = len(mutants)
    if options.list:
        for i, mutant in enumerate(mutants[:options.count], 1):
            print(i, describe(mutant))
        return
    print("building ...", flush=True)
    done = subprocess.run(["cmake", "-S", str(TREE), "-B", str(BUILD), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                           "-DCMAKE_C_FLAGS_RELEASE=-O1"], capture_output=True, text=True)
    if done.returncode != 0 or (done := build()).returncode != 0:
        sys.exit(f"the copy does not build:\n{done.stdout[-2000:]}")
    tests = Tests()
    tests.measure(options.kept)
    rooms = collections.Counter()
    survivors, tried, number = [], 0, 0
    for mutant in mutants:
        if tried >= options.count:
            break
        number += 1
        if number < options.first or (options.only and number != options.only):
            continue
        began = time.monotonic()
        verdict, by = try_mutant(tests, mutant, options.quick)
        print(f"{number} {verdict}: {describe(mutant)}  [{by or 'all its tests pass'}; {time.monotonic() - began:.0f} s]",
              flush=True)
        if verdict != "none":
            tried += 1
            rooms[mutant[0], verdict] += 1
        if verdict == "survived":
            survivors.append(mutant)
        if options.only:
            break
    print(f"\nseed {options.seed}: {tried} mutants, {tried - len(survivors)} noticed, {len(survivors)} survived")
    for room in ROOMS:
        if rooms[room, "noticed"] + rooms[room, "survived"]:
            print(f"  {room}: {rooms[room, 'noticed']} noticed, {rooms[room, 'survived']} survived")
    for mutant in survivors:
        print(f"SURVIVED {describe(mutant)}")
    sys.exit(0 if tried and len(survivors) <= 0.1 * tried else 1)


if __name__ == "__main__":
    main()
