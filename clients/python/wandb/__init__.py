"""A stand-in for the package `wandb`, for programs that `sweep` runs: an unmodified W&B script works offline, its config
is the run's parameters, and what it logs goes to results.db. `wandb: offline` in a sweep file puts it on PYTHONPATH.

What it has: init, config, log, summary, define_metric, finish, Settings, and run with the same. What W&B's servers would
do with pictures, tables, artifacts or code is not done, and said once. Nothing leaves the machine.
"""

import atexit
import os
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import sweep_client  # noqa: E402

__version__ = "0.0+sweep"
run = None


def _once(text):
    if text not in _once.said:
        _once.said.add(text)
        print(f"wandb (sweep's stand-in): {text}", file=sys.stderr)


_once.said = set()


class Error(Exception):
    pass


UsageError = CommError = Error


class Settings:
    def __init__(self, **values):
        self.__dict__.update(values)


class _Config(sweep_client.Config):
    """The run's parameters over the program's defaults. What the sweep has set stays, as with W&B."""

    def _take(self, values, *, change):
        for name, value in dict(values).items():
            fixed = name in sweep_client.config and value != sweep_client.config[name]
            if fixed and change:
                _once(f"config `{name}` is set by the sweep and stays {sweep_client.config[name]!r}")
            elif not fixed:
                self[name] = value

    def update(self, values=(), allow_val_change=None, **more):  # noqa: ARG002
        self._take(_plain(values), change=True)
        self._take(more, change=True)

    def setdefaults(self, values):
        self._take({n: v for n, v in _plain(values).items() if n not in self}, change=False)

    def as_dict(self):
        return dict(self)

    def __setattr__(self, name, value):
        self.update({name: value})


def _plain(values):
    """A dict of what init(config=...) takes: a dict, an argparse namespace, a dataclass, a path of a YAML or JSON file."""
    if values is None:
        return {}
    if isinstance(values, (str, os.PathLike)):
        text = pathlib.Path(values).read_text()
        try:
            import json

            return json.loads(text)
        except ValueError:
            raise Error(f"config={str(values)!r}: only JSON files can be read; give a dict") from None
    if hasattr(values, "keys"):
        return {name: values[name] for name in values.keys()}
    return dict(vars(values)) if hasattr(values, "__dict__") else dict(values)


config = _Config(sweep_client.config)


class _Summary(dict):
    """The run's last words: what is set here is a value, reported when the run finishes."""

    def __init__(self):
        super().__init__()
        self.__dict__["own"] = {}

    def __setitem__(self, name, value):
        super().__setitem__(name, value)
        self.own[name] = value

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name, value):
        self[name] = value

    def update(self, values=(), **more):
        for name, value in {**dict(values), **more}.items():
            self[name] = value

    def seen(self, values):
        for name, value in values.items():
            dict.__setitem__(self, name, value)


class Run:
    def __init__(self, **said):
        self.id = self.name = os.environ.get("SWEEP_RUN") or "run"
        self.name = said.get("name") or self.name
        self.project = said.get("project") or ""
        self.group = said.get("group")
        self.job_type = said.get("job_type")
        self.tags = tuple(said.get("tags") or ())
        self.notes = said.get("notes")
        self.entity = said.get("entity") or ""
        self.dir = str(sweep_client.dir)
        self.url = self.sweep_id = None
        self.resumed = sweep_client.resumed
        self.offline = True
        self.disabled = False
        self.settings = said.get("settings") or Settings()
        self.config = config
        self.summary = _Summary()
        self.step = 0
        self._row = {}
        self._row_step = 0
        self._definitions = {}
        self._ended = False

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.finish(1 if kind else 0)

    def _flush(self):
        if self._row:
            sweep_client.log(self._row, step=self._row_step)
            self._row = {}

    def log(self, data, step=None, commit=None, sync=None):  # noqa: ARG002
        """Values of a step. Without `step` each call is the next one; commit=False waits for more of the same step."""
        if not hasattr(data, "keys"):
            raise ValueError("wandb.log takes a dict")
        if step is not None:
            if step < self._row_step:
                _once(f"values of step {step} came after step {self._row_step} and are left out, as W&B does")
                return
            if step > self._row_step:
                self._flush()
                self._row_step = step
        values = {n: v for n, v in data.items() if not isinstance(v, _Nothing)}
        if len(values) < len(data):
            _once("pictures, tables and other media are not kept")
        self._row.update(values)
        self.summary.seen(dict(sweep_client._flat(values)))
        if commit or (commit is None and step is None):
            self._flush()
            self._row_step += 1
        self.step = self._row_step

    def define_metric(self, name, step_metric=None, step_sync=None, hidden=None, summary=None, goal=None, overwrite=None):  # noqa: ARG002
        """summary: which of its values is the run's, min, max, mean or last; best follows goal."""
        how = summary
        if how in ("best", "copy", None):
            how = {"minimize": "min", "maximize": "max"}.get(goal, "min" if how == "best" else None)
        elif "," in how:
            _once(f"define_metric(summary={summary!r}): the first one counts")
            how = how.split(",")[0]
        if "*" in name:
            if how:
                _once(f"define_metric({name!r}): patterns of names are not known here")
            return _Nothing()
        if how in ("min", "max", "mean", "last", "first") and sweep_client.running:
            if how == "first":
                _once("define_metric(summary='first') is not known here")
            else:
                sweep_client.write({"_summary": {name: how}})
        return _Nothing()

    def finish(self, exit_code=None, quiet=None):  # noqa: ARG002
        if self._ended:
            return
        self._flush()
        if self.summary.own:
            sweep_client.log(self.summary.own, step=self._row_step)
        self._ended = True
        global run
        if run is self:
            run = None

    join = finish

    def log_artifact(self, *given, **more):  # noqa: ARG002
        _once("artifacts are not uploaded; what the program leaves in $SWEEP_DIR is kept")
        return _Nothing()

    def use_artifact(self, *given, **more):  # noqa: ARG002
        raise Error("use_artifact needs W&B's servers; give the program a path instead")

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        _once(f"run.{name} does nothing here")
        return _Nothing()


class _Nothing:
    """What a feature without a counterpart here gives back: can be called, used and passed on, and does nothing."""

    def __init__(self, *given, **more):
        pass

    def __call__(self, *given, **more):
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __setattr__(self, name, value):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *trace):
        return False

    def __iter__(self):
        return iter(())

    def __bool__(self):
        return False


class Artifact(_Nothing):
    pass


class Table(_Nothing):
    pass


Image = Audio = Video = Html = Histogram = Object3D = Molecule = Plotly = Graph = type("Media", (_Nothing,), {})


def init(project=None, entity=None, config=None, reinit=None, settings=None, config_exclude_keys=(), config_include_keys=(), **more):  # noqa: ARG001, A002
    """Begins the run. config are defaults, which the sweep's parameters override."""
    global run
    if run is not None:
        if not reinit:
            return run
        run.finish()
    given = _plain(config)
    if config_include_keys:
        given = {n: v for n, v in given.items() if n in config_include_keys}
    given = {n: v for n, v in given.items() if n not in config_exclude_keys}
    globals()["config"].setdefaults(given)
    run = Run(project=project, entity=entity, settings=settings, **more)
    atexit.register(run.finish)
    return run


def _running(what):
    if run is None:
        raise Error(f"call wandb.init() before wandb.{what}")
    return run


def log(data, step=None, commit=None, sync=None):
    _running("log").log(data, step=step, commit=commit, sync=sync)


def define_metric(name, *given, **more):
    return _running("define_metric").define_metric(name, *given, **more)


def finish(exit_code=None, quiet=None):
    if run is not None:
        run.finish(exit_code, quiet)


def login(*given, **more):  # noqa: ARG001
    return True


def watch(*given, **more):  # noqa: ARG001
    _once("watch: gradients and parameters are not kept")
    return []


def unwatch(*given, **more):  # noqa: ARG001
    return None


def save(*given, **more):  # noqa: ARG001
    _once("save: files are not uploaded; what the program leaves in $SWEEP_DIR is kept")
    return []


def alert(title="", text="", **more):  # noqa: ARG001
    print(f"wandb.alert: {title}: {text}", file=sys.stderr)


def setup(*given, **more):  # noqa: ARG001
    return None


def log_artifact(*given, **more):
    return _running("log_artifact").log_artifact(*given, **more)


def use_artifact(*given, **more):
    return _running("use_artifact").use_artifact(*given, **more)


def sweep(*given, **more):  # noqa: ARG001
    raise Error("wandb.sweep needs W&B's servers; write the dict into a file and say `sweep run FILE`")


def agent(*given, **more):  # noqa: ARG001
    raise Error("wandb.agent needs W&B's servers; `sweep run FILE` runs the program for each point")


class Api:
    def __init__(self, *given, **more):
        raise Error("wandb.Api needs W&B's servers; results are in results.db (`sweep report`, sqlite3)")


plot = errors = sdk = util = _Nothing()


def __getattr__(name):
    if name == "summary":
        return _running("summary").summary
    if name.startswith("__"):
        raise AttributeError(name)
    _once(f"wandb.{name} does nothing here")
    return _Nothing()
