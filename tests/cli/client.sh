#!/usr/bin/env bash
# clients/python: parameters in and values out, and the stand-in for wandb under a W&B script as people write them.
. "$SOURCE_DIR/tests/lib.sh"
command -v python3 >/dev/null || skip "python3 is not installed"
EXEC=$BUILD_DIR/sweep-exec

# go NAME CONFIG ARGV...: under sweep-exec, with the clients on PYTHONPATH; fails unless it ends well
go() {
	local name=$1 config=$2
	shift 2
	python3 - "$name" "$config" "$SOURCE_DIR/clients/python" "$@" <<'EOF'
import json, os, sys
name, config, clients, argv = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
at = os.getcwd() + "/" + name
json.dump({"sweep_command": 1, "key": (name + "0" * 64)[:64], "stage": "train", "seed": "7", "argv": argv, "run": "12",
           "env": ["PYTHONPATH=" + clients, "PYTHONDONTWRITEBYTECODE=1"], "workdir": os.getcwd(), "dir": at,
           "part": at + ".part", "scratch": at + ".attempt", "config": config}, open(name + ".json", "w"))
EOF
	run "$EXEC" "$name.json"
	expect_status 0
}
# values NAME: "name@step=value ..." of its file
values() {
	python3 -c '
import json, sys
for line in open(sys.argv[1] + "/.sweep/values.jsonl"):
    v = json.loads(line)
    print(v["name"] + ("@%d=%s" % (v["step"], v["value"]) if "value" in v else ":" + v["summary"]), end=" ")' "$1"
}
says() { CHECKS=$((CHECKS + 1)); local found; found=$(values "$1"); [ "$found" = "$2" ] || fail "$1: expected $2, found $found"; }

cat >own.py <<'EOF'
import sweep_client as sweep
assert sweep.running and sweep.run == "12" and sweep.seed == 7 and sweep.attempt == 1 and not sweep.resumed
c = sweep.defaults(lr=9, batch=16)
assert c.lr == 0.1 and c["lr"] == 0.1 and c.batch == 16 and c.model.depth == 3 and c["model.depth"] == 3
try:
    c.num_beems
except AttributeError as e:
    assert "no parameter `num_beems`; it has lr, model, batch" in str(e), e
else:
    raise SystemExit("a parameter that is not there was there")
sweep.log(loss=2)
sweep.log({"eval/acc": 0.5, "n": {"x": True}}, step=10, f1=float("nan"))
sweep.log(text="words", loss=float("inf"))
(sweep.dir / "model.pt").write_text("weights")
EOF
go own '{"lr": 0.1, "model": {"depth": 3}}' python3 own.py
says own 'loss@0=2 eval/acc@10=0.5 n.x@10=1 f1@10=nan loss@11=inf '
check grep -q '`text` is no number (str)' own/.sweep/log.txt
check [ "$(cat own/model.pt)" = weights ]
PYTHONPATH=$SOURCE_DIR/clients/python PYTHONDONTWRITEBYTECODE=1 run python3 -c 'import sweep_client as s; s.defaults(lr=1); s.log(loss=0.5, step=3); print(s.config.lr, s.dir)'
expect_status 0; expect_out "loss=0.5 step=3"; expect_out "1 ."

# A W&B script: argparse, init(config=args), watch, nested log, summary, define_metric, Image, Artifact, finish.
cat >wb.py <<'EOF'
import argparse
import wandb
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.5)
parser.add_argument("--epochs", type=int, default=3)
args = parser.parse_args()
with wandb.init(project="demo", config=vars(args), settings=wandb.Settings(silent=True)) as run:
    assert wandb.config.lr == 0.1 and wandb.config["lr"] == 0.1, wandb.config       # the sweep's, not the default
    assert wandb.config.epochs == 3 and dict(wandb.config) == {"lr": 0.1, "opt": "adam", "epochs": 3}
    wandb.config.update({"lr": 7, "extra": 1})
    assert wandb.config.lr == 0.1 and wandb.config.extra == 1
    wandb.define_metric("val/loss", summary="min")
    run.define_metric("acc", goal="maximize", summary="best")
    wandb.watch(object(), log="all")
    for epoch in range(wandb.config.epochs):
        wandb.log({"val/loss": 3 - epoch, "train": {"loss": epoch}}, commit=False)
        wandb.log({"acc": epoch / 4, "picture": wandb.Image([[0]])})
    run.log({"late": 1}, step=10)
    run.log({"early": 1}, step=2)
    wandb.run.summary["best_epoch"] = 2
    assert run.summary["acc"] == 0.5 and wandb.summary.best_epoch == 2
    artifact = wandb.Artifact("model", type="model")
    artifact.add_file("x")
    run.log_artifact(artifact).wait()
    assert not wandb.some_new_thing(1).other
assert wandb.run is None
try:
    wandb.log({"x": 1})
except wandb.Error as e:
    assert "call wandb.init()" in str(e)
EOF
go wb '{"lr": 0.1, "opt": "adam"}' python3 wb.py --lr=0.1
says wb 'val/loss:min acc:max val/loss@0=3 train.loss@0=0 acc@0=0 val/loss@1=2 train.loss@1=1 acc@1=0.25 val/loss@2=1 train.loss@2=2 acc@2=0.5 late@10=1 best_epoch@10=2 '
check grep -q 'config `lr` is set by the sweep and stays 0.1' wb/.sweep/log.txt
check grep -q 'step 2 came after step 10' wb/.sweep/log.txt
check [ "$(grep -c 'pictures, tables and other media are not kept' wb/.sweep/log.txt)" = 1 ]
check grep -q 'artifacts are not uploaded' wb/.sweep/log.txt
# A script that never finishes its run: what it logged last is there all the same.
go end '{}' python3 -c 'import wandb; wandb.init(); wandb.log({"a": 1}); wandb.log({"b": 2}, commit=False)'
says end 'a@0=1 b@1=2 '
finish
