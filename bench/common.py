"""What every bench shares: the machine in words, alternating timing, ratios with spread.

A bench runs both sides in one process tree on the same threads, alternating (A B A B ...), several times, and prints
the ratio of each round with its median, minimum and maximum. Nothing else may run meanwhile. README.md beside it says what
each needs and how it is found.
"""
import json, os, platform, shutil, statistics, subprocess, sys, tempfile, time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from paths import BUILD, E2E, GPT2, ROOT, RUNNER, SWEEP, built

WORK = Path(os.environ.get("BENCH_DIR", ROOT / "build/bench"))
PROMPT = "Convert the following table into English text: {table} {eos} "
TARGET = "{text} {eos}"
NEVER = 177  # a byte that no text of bench/make_model.py's model has


def machine(threads):
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    load = os.getloadavg()[0]
    print(f"machine: {cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; threads: {threads}; "
          f"load before: {load:.1f}")
    print("command:", " ".join([Path(sys.argv[0]).name] + sys.argv[1:]))


def rounds(n, **sides):
    """Runs each side n times, alternating; each side is a function that returns its seconds (or a rate)."""
    result = {name: [] for name in sides}
    for i in range(n):
        for name, function in sides.items():
            result[name].append(function())
            print(f"  round {i + 1} {name}: {result[name][-1]:.3f}", flush=True)
    return result


def ratio(name, slow, fast):
    """Prints slow/fast for each round: median (min to max)."""
    values = [a / b for a, b in zip(slow, fast)]
    print(f"{name}: {statistics.median(values):.2f} times ({min(values):.2f} to {max(values):.2f}, {len(values)} rounds)",
          flush=True)
    return statistics.median(values)


def default_params():
    text = subprocess.run([SWEEP, "params", "--format", "json"], capture_output=True, text=True, check=True).stdout
    return {p["name"]: p["default"] for p in json.loads(text)}


def runner(job, threads):
    """Runs one job; returns (seconds in all, list of (time, event))."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as f:
        json.dump(job, f)
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), GOMP_SPINCOUNT="2000")  # as `sweep run` sets them
    start = time.perf_counter()
    p = subprocess.Popen([RUNNER, f.name], stdout=subprocess.PIPE, text=True, env=env)
    events = [(time.perf_counter() - start, json.loads(line)) for line in p.stdout]
    if p.wait() != 0:
        sys.exit(f"sweep-runner failed: {events[-1] if events else ''}")
    os.unlink(f.name)
    return time.perf_counter() - start, events


def train_job(model, out, **params):
    return {"sweep_job": 1, "kind": "train", "key": "bench", "model": str(model), "model_name": "bench",
            "train": str(E2E / "train.txt.gz"), "prompt": PROMPT, "target": TARGET, "splits": [],
            "outputs": [{"key": "bench", "dir": str(out), "split": 0, "params": params}]}


def decode_job(model, adapter, inputs, out, settings):
    return {"sweep_job": 1, "kind": "decode", "key": "bench", "model": str(model), "model_name": "bench",
            "prompt": PROMPT, "target": TARGET, **({"adapter": str(adapter)} if adapter else {}),
            "splits": [{"name": "bench", "input": str(inputs), "limit": 0}],
            "outputs": [{"key": f"bench{i}", "dir": f"{out}{i}", "split": 0, "params": s} for i, s in enumerate(settings)]}


def endless(model_dir):
    """The same model with an end token that it never chooses: every text has max_new_tokens tokens."""
    out = WORK / "endless"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    for f in Path(model_dir).iterdir():
        if f.name != "generation_config.json":
            (out / f.name).symlink_to(f.resolve())
    (out / "generation_config.json").write_text(json.dumps({"eos_token_id": NEVER}))
    return out
