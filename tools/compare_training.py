#!/usr/bin/env python3
"""Trains the same prefix with sweep-runner and with PEFT + torch, from equal initial values and in equal order, and prints
how far losses, adapter and gradients are apart.

    tools/compare_training.py --params '{"num_virtual_tokens": 5, "train_limit": 100, "batch_size": 4, "epochs": 2}'
    tools/compare_training.py --gradient             the gradient of one batch
    tools/compare_training.py --dropout 400          mean and deviation of a batch's loss over 400 draws of dropout 0.1

--model (runner/demo) and --train (sweeps/data/train.txt, or a .gz) name other data. Limits: losses 1e-4 relative, adapter
1e-3 and gradient 1e-4 of the largest value; under dropout 4 standard errors for mean and deviation. The
gradient is read off one AdamW step with adam_epsilon 1, weight_decay 0 and a learning rate of 100: from value p to
p - 100 g / (|g| + 1). Exit status 1 beyond a limit.
"""
import argparse, gzip, json, math, os, statistics, subprocess, sys, tempfile

import numpy as np
import theirs
import torch
from safetensors.numpy import load_file


def ours(args, params, scratch):
    """Losses, and the adapter's table."""
    key = "0" * 64
    job = {"sweep_job": 1, "kind": "train", "key": key, "model": os.path.abspath(args.model), "model_name": "compared",
           "train": os.path.abspath(args.train), "prompt": theirs.PROMPT, "target": theirs.TARGET, "splits": [],
           "outputs": [{"key": key, "dir": f"{scratch}/adapter", "split": 0, "params": params}]}
    json.dump(job, open(f"{scratch}/job.json", "w"))
    done = subprocess.run([theirs.RUNNER, f"{scratch}/job.json"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{theirs.RUNNER}: {done.stdout[-1000:]}")
    losses = [json.loads(line)["loss"] for line in open(f"{scratch}/adapter/losses.jsonl")]
    return losses, load_file(f"{scratch}/adapter/adapter_model.safetensors")["prompt_embeddings"]


def setting(args, params, dropout=0.0):
    """PEFT's model and the data."""
    tok = theirs.tokenizer(args.model)
    opened = gzip.open(args.train, "rt", encoding="utf-8") if args.train.endswith(".gz") else open(args.train, encoding="utf-8")
    lines = [line.rstrip("\n") for line in opened][:params["train_limit"]]
    peft = theirs.prefix_model(args.model, params["num_virtual_tokens"], params.get("prefix_projection", False),
                               params.get("encoder_hidden_size", 0), params.get("seed", 42), dropout)
    return peft, theirs.pairs(tok, lines, params.get("pad_to_length", 0)), tok.eos_token_id


def training(args, scratch):
    params = dict({"num_virtual_tokens": 5, "train_limit": 100, "batch_size": 4, "epochs": 2, "learning_rate": 0.02,
                   "dropout": 0.0}, **json.loads(args.params))
    mine, table = ours(args, params, scratch)
    peft, data, eos = setting(args, params)
    losses = theirs.train(peft, data, eos, params)
    wanted = theirs.table(peft)
    assert len(losses) == len(mine)
    gap = max(abs(a / b - 1) for a, b in zip(mine, losses))
    apart = float(np.abs(table - wanted).max() / np.abs(wanted).max())
    print(f"{len(losses)} steps, loss {losses[0]:.4f} to {losses[-1]:.4f}: losses {gap:.1e}, adapter {apart:.1e} apart")
    return gap <= 1e-4 and apart <= 1e-3


def gradient(args, scratch):
    params = dict({"num_virtual_tokens": 5, "train_limit": 4, "batch_size": 4, "shuffle": False}, **json.loads(args.params))
    params.update(dropout=0.0, epochs=1, learning_rate=100.0, adam_epsilon=1.0, weight_decay=0.0)
    peft, data, eos = setting(args, params)
    start = theirs.table(peft).astype(np.float64)
    loss = peft(**theirs.collate(data, eos, params.get("pad_to_length", 0))).loss
    loss.backward()
    wanted = peft.prompt_encoder.default.embedding.weight.grad.numpy()
    mine, table = ours(args, params, scratch)
    u = (start - table) / 100
    got = u / (1 - np.abs(u))
    apart = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    print(f"gradient of {wanted.size} values, largest {np.abs(wanted).max():.2e}: {apart:.1e} apart; "
          f"loss {abs(mine[0] / loss.item() - 1):.1e} apart")
    return apart <= 1e-4


def dropout(args, scratch):
    """Learning rate 0: every step is the same batch and prefix under another mask."""
    params = dict({"num_virtual_tokens": 5, "train_limit": 4, "batch_size": 4}, **json.loads(args.params))
    params.update(dropout=0.1, epochs=args.dropout, learning_rate=0.0, weight_decay=0.0, shuffle=False)
    mine, _ = ours(args, params, scratch)
    peft, data, eos = setting(args, params, 0.1)
    batch = theirs.collate(data, eos, params.get("pad_to_length", 0))
    peft.train()
    torch.manual_seed(1)
    with torch.no_grad():
        losses = [peft(**batch).loss.item() for _ in range(args.dropout)]
    a, b, sa, sb = statistics.mean(mine), statistics.mean(losses), statistics.stdev(mine), statistics.stdev(losses)
    z = (a - b) / math.sqrt((sa * sa + sb * sb) / args.dropout)
    print(f"loss under dropout 0.1, {args.dropout} draws: mean {a:.4f} and {b:.4f} ({z:+.1f} standard errors), deviation "
          f"{sa:.4f} and {sb:.4f}")
    return abs(z) < 4 and abs(sa / sb - 1) < 4 / math.sqrt(args.dropout)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=f"{theirs.ROOT}/runner/demo")
    p.add_argument("--train", default=f"{theirs.ROOT}/sweeps/data/train.txt")
    p.add_argument("--params", default="{}")
    p.add_argument("--gradient", action="store_true")
    p.add_argument("--dropout", type=int, metavar="N")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        what = gradient if args.gradient else dropout if args.dropout else training
        return 0 if what(args, scratch) else 1


if __name__ == "__main__":
    sys.exit(main())
