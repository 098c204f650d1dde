"""Where benches and comparisons find the programs and the data that are not in the repository: bench/README.md has the table.

    from paths import E2E, GPT2, SWEEP, built
    open(E2E / "train.txt.gz")      ends with one sentence when the data is nowhere
    built("tests/fake-runner")      likewise when that program is not built
"""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("BUILD", ROOT / "build/release"))
SWEEP = Path(os.environ.get("SWEEP", BUILD / "sweep"))
RUNNER = Path(os.environ.get("SWEEP_RUNNER", BUILD / "sweep-runner"))


def built(name):
    """A program of the build folder."""
    if not (BUILD / name).exists():
        sys.exit(f"{BUILD / name} is not there: `cmake --build {BUILD} --target {Path(name).name}` builds it "
                 "(BUILD names another build folder)")
    return BUILD / name


class Data:
    """A folder of files that are not ours: what the variable says, else beside this checkout, else sweep's cache."""

    def __init__(self, variable, beside, fetched):
        self.variable, self.beside, self.fetched = variable, ROOT.parent / beside, fetched

    def exists(self):
        return self.folder() is not None

    def folder(self):
        if os.environ.get(self.variable):
            return Path(os.environ[self.variable])
        if self.beside.is_dir():
            return self.beside
        if SWEEP.exists():  # offline: only what an earlier fetch has left
            found = subprocess.run([SWEEP, "fetch", self.fetched], env=dict(os.environ, HF_HUB_OFFLINE="1"),
                                   capture_output=True, text=True)
            if found.returncode == 0:
                return Path(found.stdout.rstrip("\n"))
        return None

    def __truediv__(self, name):
        folder = self.folder()
        if folder is None or not (folder / name).exists():
            sys.exit(f"{name} is needed, and {folder or 'the cache'} does not have it: `{SWEEP} fetch {self.fetched}` "
                     f"brings it, or {self.variable} names a folder with it")
        return folder / name


E2E = Data("E2E_DIR", "shared/e2e", "e2e")  # train.txt.gz, dev.txt, dev.out, small.txt, small.out
GPT2 = Data("GPT2_DIR", "shared/gpt2", "distilgpt2")  # vocab.json, merges.txt
