#!/usr/bin/env python3
"""hostile_hub.py - `sweep fetch` of the AddressSanitizer build from tests/fake_hub.py, which misbehaves by rules that seed and
case choose: statuses, headers of any kind, redirects, broken, slow, wrong and endless bodies. What is fetched with exit
status 0 has the true bytes, whatever happened; nothing is written outside of the cache; and without the rules the same
command comes to the true bytes. hostile.py has the options.

    python3 tests/torture/hostile_hub.py --seconds 60 --seed 7
"""
import atexit
import filecmp
import json
import shutil
import subprocess
import sys
import time

import hostile
from hostile import SOURCE, SWEEP, Failure, environment, mutate, run

HEADERS = ["X-Repo-Commit", "ETag", "X-Linked-Etag", "X-Linked-Size", "Content-Length", "Location", "X-Error-Code",
           "X-Error-Message", "Retry-After", "Content-Range", "Transfer-Encoding", "Content-Encoding", "Connection"]
VALUES = ["", "0", "-1", "7", "99999999999999999999", "9223372036854775807", "0x10", "a" * 40, "b" * 64, "\"" + "c" * 64 + "\"",
          "W/\"" + "d" * 40 + "\"", "../../evil", "/etc/evil", "x" * 5000, "EntryNotFound", "RepoNotFound", "GatedRepo", "chunked",
          "gzip", "close", "bytes 5-9/10", "bytes */7", "Fri, 31 Dec 1999 23:59:59 GMT", "\x1b[2J evil", "\x9b31m", "a\tb"]
PLACES = ["", "config.json", "generation_config", "tokenizer", "vocab", "merges", "safetensors", "cdn", "api", "part", "\\.txt"]
LOCATIONS = ["/", "//localhost:{port}/cdn/x", "http://localhost:{port}/", "file:///etc/passwd", "http://[::1", "http://127.0.0.1:1/x",
             "ftp://127.0.0.1/x", "?again", "../../../..", "http://127.0.0.1:{port}/m/resolve/main/config.json", "https://", ""]
STATUSES = [100, 199, 200, 201, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 408, 416, 418, 429, 500, 503, 599, 999]


def rule(rng):
    do = rng.choice(["status", "status", "header", "header", "header", "break", "stall", "slow", "corrupt", "short", "long",
                     "norange", "badrange", "redirect", "flood", "page"])
    made = {"do": do, "path": rng.choice(PLACES), "times": rng.choice([1, 1, 1, 2, 30]), "bytes": rng.choice([0, 1, 1000, 3000000]),
            "seconds": 3, "rate": rng.choice([100, 5000000]), "status": rng.choice(STATUSES),
            "location": rng.choice(LOCATIONS), "method": rng.choice(["HEAD", "GET"])}
    headers = {rng.choice(HEADERS): rng.choice(VALUES) for _ in range(rng.choice([1, 1, 3]))}
    made["headers"] = {k: None if rng.random() < 0.15 else v for k, v in headers.items()}
    if "Retry-After" in headers and made["headers"]["Retry-After"] == "7":
        made["headers"]["Retry-After"] = "0"  # nobody waits for it
    return made


def prepare(base):
    (base / "set/data").mkdir(parents=True)
    (base / "set/README.md").write_text("one\n")
    (base / "set/data/part.txt").write_bytes(bytes(range(256)) * 20)
    (base / "m").mkdir()
    for path in (SOURCE / "runner/demo").iterdir():
        (base / "m" / path.name).symlink_to(path)
    (base / "state").mkdir()
    server = subprocess.Popen([sys.executable, SOURCE / "tests/fake_hub.py", "--state", base / "state", "--seconds", "86400",
                               "--repo", f"m={base / 'm'}", "--repo", f"me/set={base / 'set'}"], stderr=subprocess.DEVNULL)
    atexit.register(server.kill)
    for _ in range(600):
        if (base / "state/port").exists():
            return
        time.sleep(0.1)
    raise SystemExit("tests/fake_hub.py does not start")


def rules(base, made):
    (base / "state/rules.new").write_text(json.dumps(made))
    (base / "state/rules.new").rename(base / "state/rules.json")


def fetch(folder, base, name):
    port = (base / "state/port").read_text()
    env = environment(HF_ENDPOINT=f"http://127.0.0.1:{port}", HF_HOME=folder / "hf", HOME=folder, HF_HUB_DOWNLOAD_TIMEOUT=1,
                      HF_HUB_ETAG_TIMEOUT=1, HF_TOKEN="hf_secret")
    status = run(folder, [SWEEP, "fetch", name, *(["--dataset"] if name == "me/set" else [])], env, limit=300)
    if status == 0:
        compare(run.out.decode().rstrip("\n"), base / name.replace("me/", ""))
    outside = [p.name for p in folder.iterdir() if p.name != "hf"] + [p.name for p in folder.rglob("*evil*")]
    if outside:
        raise Failure(f"written outside of the cache: {outside[:3]}")
    return status


def compare(found, true):
    """Every file that came is the true one (a file that the Hub denied may be missing)."""
    for path in sorted(true.rglob("*")):
        mine = f"{found}/{path.relative_to(true)}"
        try:
            if path.is_file() and not filecmp.cmp(mine, path, shallow=False):
                raise Failure(f"exit status 0, and other bytes in {path.name}")
        except FileNotFoundError:
            pass


def one(rng, case, folder, base):
    name = rng.choice(["m", "m", "me/set"])
    rules(base, [dict(rule(rng), case=case) for _ in range(rng.choice([1, 1, 2, 3]))])  # `case`: counted anew each time
    status = fetch(folder, base, name)
    rules(base, [])
    shutil.rmtree(folder / "hf/hub/.no_exist", ignore_errors=True)
    again = fetch(folder, base, name)
    if again != 0 and rng is not None:
        missing = [p for p in (folder / "hf").rglob(".no_exist/*/*")]
        if not missing:  # else the Hub said itself that a file of that commit is not there
            raise Failure(f"without the rules the same command ends with status {again}")
    return f"{name}: {status}"


if __name__ == "__main__":
    hostile.main("hostile_hub", one, prepare)
