"""Orchestration alone: runs whose jobs do nothing, beside Optuna (SQLite storage) and GNU parallel.

    python3 bench/orchestration.py [--runs 10000] [--rounds 2]

`sweep run` with tests/fake_runner.c as its worker (build the target fake-runner): it writes the artifact folders and
exits. Three shapes of sweep: each run a training and a decode job of its own (two forks a run); runs that share one
adapter (a fork for up to 512 runs); and the first one again, everything reused. FAKE_SYNC=0: the fake worker does not
fsync its files, `sweep` does commit durably. Optuna: the same number of trials of an empty function, one process, no fork.
GNU parallel: the same number of /bin/true, --joblog as its record.
"""
import argparse, importlib.util, shutil, time
from common import *


def sweep_side(folder, runs, parameters, keep=False):
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (folder / "s.yaml").write_text(f"name: s\nmodel: demo\ndataset: demo\nmethod: grid\nparameters:\n{parameters}")
    env = dict(os.environ, SWEEP_RUNNER=str(built("tests/fake-runner")), FAKE_SYNC="0", FAKE_MS="0",
               FAKE_LOG="/dev/null")
    start = time.perf_counter()
    subprocess.run([SWEEP, "run", "s.yaml", "--jobs", "2", "--quiet"], cwd=folder, env=env, check=True, capture_output=True)
    return (time.perf_counter() - start) / runs * 1e3


def optuna_side(folder, runs):
    import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    study = optuna.create_study(storage=f"sqlite:///{folder}/o.db", sampler=optuna.samplers.RandomSampler(seed=1))
    start = time.perf_counter()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=runs)
    return (time.perf_counter() - start) / runs * 1e3


def parallel_side(folder, runs):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = time.perf_counter()
    subprocess.run(f"seq {runs} | parallel --joblog log -j 2 true", shell=True, cwd=folder, check=True)
    return (time.perf_counter() - start) / runs * 1e3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    machine(2)
    n, folder = args.runs, WORK / "orchestration"
    rates = "  num_virtual_tokens: 1\n  learning_rate: [" + ", ".join(f"{i}e-6" for i in range(1, n + 1)) + "]\n"
    seeds = "  num_virtual_tokens: 1\n  do_sample: true\n  top_k: [" + ", ".join(str(i) for i in range(1, n + 1)) + "]\n"
    sides = dict(forks=lambda: sweep_side(folder / "a", n, rates),
                 reused=lambda: sweep_side(folder / "a", n, rates, keep=True),
                 shared=lambda: sweep_side(folder / "b", n, seeds))
    if shutil.which("parallel"):
        sides["parallel"] = lambda: parallel_side(folder / "p", n // 10)
    if importlib.util.find_spec("optuna"):
        sides["optuna"] = lambda: optuna_side(folder / "o", n // 20)
    for name in {"parallel", "optuna"} - set(sides):
        print(f"left out: {name} is not installed")
    print(f"milliseconds a run, {n} runs:")
    r = rounds(args.rounds, **sides)
    for name, values in r.items():
        print(f"{name}: {statistics.median(values):.3f} ms a run ({min(values):.3f} to {max(values):.3f})")


main()
