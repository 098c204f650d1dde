"""sweep_client - what a program needs of `sweep`: its parameters in, its values out. One file, standard library only.

    import sweep_client as sweep

    lr = sweep.config.lr                       # parameters: attributes or keys, nested ones config.model.depth
    sweep.log(val_loss=0.31, step=100)         # any number of values; without step, calls are counted
    sweep.log({"eval/acc": 0.9})               # names that are no Python names
    torch.save(model, sweep.dir / "model.pt")  # what is left in dir is the run's artifact
    if sweep.resumed: ...                      # an earlier attempt was stopped; what it left in dir is still there

Alone, outside of a sweep, config is what `defaults` gave, log prints, and dir is the current folder: the program is
the same.

What it speaks is plain, and any language can: SWEEP_CONFIG (JSON), SWEEP_METRICS (a file; append JSON lines), SWEEP_DIR,
SWEEP_RUN, SWEEP_SEED, SWEEP_ATTEMPT, SWEEP_RESUME.
"""

import json
import math
import os
import pathlib
import sys

__all__ = ["config", "defaults", "log", "dir", "running", "run", "seed", "attempt", "resumed"]


class Config(dict):
    """A dict whose members are attributes, too; `config["a.b"]` and `config.a.b` are the same nested value."""

    def __init__(self, values=()):
        super().__init__()
        for name, value in dict(values).items():
            self[name] = value

    def __setitem__(self, name, value):
        super().__setitem__(name, Config(value) if isinstance(value, dict) and not isinstance(value, Config) else value)

    def __missing__(self, name):
        value = self
        for part in str(name).split("."):
            if not isinstance(value, dict) or not dict.__contains__(value, part):
                raise KeyError(f"the sweep has no parameter `{name}`; it has {', '.join(map(str, self)) or 'none'}")
            value = dict.__getitem__(value, part)
        return value

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError as missing:
            raise AttributeError(missing.args[0]) from None

    def __setattr__(self, name, value):
        self[name] = value


def _config():
    try:
        return Config(json.loads(os.environ.get("SWEEP_CONFIG", "{}")))
    except ValueError as wrong:
        sys.exit(f"sweep_client: SWEEP_CONFIG is not JSON: {wrong}")


#: Is the program part of a sweep?
running = "SWEEP_METRICS" in os.environ
#: The run's parameters.
config = _config()
#: A folder of this attempt's own; becomes the artifact when the program ends well.
dir = pathlib.Path(os.environ.get("SWEEP_DIR") or ".")
run = os.environ.get("SWEEP_RUN") or None
seed = int(os.environ.get("SWEEP_SEED", "0"))
attempt = int(os.environ.get("SWEEP_ATTEMPT", "1"))
#: Has an earlier attempt left something in dir?
resumed = os.environ.get("SWEEP_RESUME") == "1"

_file = None
_said = set()


def _say_once(text):
    if text not in _said:
        _said.add(text)
        print(f"sweep_client: {text}", file=sys.stderr)


def defaults(**values):
    """Parameters that the sweep does not give: `sweep.defaults(lr=0.1, depth=3)`. The sweep's own win."""
    for name, value in values.items():
        if not dict.__contains__(config, name):
            config[name] = value
    return config


def _number(value):
    """A float of whatever can be one (int, bool, numpy and torch scalars), or None."""
    if isinstance(value, (str, bytes)) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def _flat(values, prefix=""):
    for name, value in values.items():
        name = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _flat(value, name + ".")
        else:
            yield name, value


def write(line):
    """One JSON object as one line, in one write: several processes may log at the same time."""
    global _file
    if _file is None:
        _file = os.open(os.environ["SWEEP_METRICS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    os.write(_file, (json.dumps(line) + "\n").encode())


def log(values=None, step=None, **more):
    """Reports values: numbers by name, of a step (counted from 0 when it is left out). What is no number is left out, and
    told once."""
    line = {}
    for name, value in _flat({**(values or {}), **more}):
        number = _number(value)
        if number is None:
            _say_once(f"`{name}` is no number ({type(value).__name__}): only numbers are kept")
        else:
            line[name] = int(number) if math.isfinite(number) and number == int(number) and abs(number) < 2**53 else number
    if not line:
        return
    if step is not None:
        line["step"] = int(step)
    if running:
        write(line)
    else:
        print(" ".join(f"{name}={value:g}" for name, value in line.items()), flush=True)
