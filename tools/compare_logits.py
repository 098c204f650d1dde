#!/usr/bin/env python3
"""Logits of distilgpt2's exact shape with random weights, with and without a prefix, on tables of E2E: sweep's forward pass
(tests/unit/test_golden_logits.c as a tool) against transformers and PEFT. At most 1e-4 apart, else exit status 1.

    tools/compare_logits.py [--inputs 16] [--folder DIR]      DIR keeps the model (330 MB; default build/distilgpt2-shape)
    tools/compare_logits.py --make --folder DIR               only makes it, with the tokenizer of GPT2_DIR (bench/README.md)
"""
import argparse, os, shutil, subprocess, sys, tempfile

import numpy as np
import paths
import theirs
import torch
from transformers import GPT2Config, GPT2LMHeadModel

TOOL = paths.BUILD / "tests/test_golden_logits"


def make_model(folder):
    """GPT-2's initialisation, scaled so that contexts matter and logits spread over tens."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=6, bos_token_id=50256, eos_token_id=50256))
    with torch.no_grad():
        model.transformer.wte.weight.mul_(8)
        model.transformer.wpe.weight.mul_(8)
        for block in model.transformer.h:
            block.attn.c_proj.weight.mul_(6)
            block.mlp.c_proj.weight.mul_(6)
        for name, p in model.named_parameters():
            if name.endswith("bias"):
                p.normal_(0, 0.1)
    model.save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(paths.GPT2 / name, f"{folder}/{name}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--inputs", type=int, default=16)
    p.add_argument("--folder", default=f"{theirs.ROOT}/build/distilgpt2-shape")
    p.add_argument("--make", action="store_true")
    args = p.parse_args()
    if not os.path.exists(f"{args.folder}/model.safetensors"):
        make_model(args.folder)
    if args.make:
        return 0
    tok = theirs.tokenizer(args.folder)
    rows = theirs.tables(paths.E2E / "dev.txt")
    rows = rows[::max(1, len(rows) // args.inputs)][:args.inputs]
    prompts = [tok(theirs.prompt_text(row, tok.eos_token))["input_ids"] for row in rows]
    sent = "".join(" ".join(map(str, ids)) + "\n" for ids in prompts)
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        theirs.prefix_model(args.folder, 20, False, 0, 42).save_pretrained(scratch)
        for what, adapter in (("without a prefix", None), ("with 20 virtual tokens", scratch)):
            raw = subprocess.run([TOOL, args.folder] + ([adapter] if adapter else []), input=sent.encode(), check=True,
                                 stdout=subprocess.PIPE).stdout
            got, at, worst, largest, first = np.frombuffer(raw, dtype=np.float32), 0, 0.0, 0.0, 0
            model = theirs.with_adapter(args.folder, adapter)
            for ids in prompts:
                with torch.no_grad():
                    want = model(torch.tensor([ids])).logits[0].numpy()
                own = got[at:at + want.size].reshape(want.shape)
                at += want.size
                worst, largest = max(worst, float(np.abs(own - want).max())), max(largest, float(np.abs(want).max()))
                first += int((own.argmax(1) != want.argmax(1)).sum())
            assert at == got.size
            print(f"{what}: {len(prompts)} inputs, {at} logits, largest {largest:.1f}: {worst:.1e} apart, {first} other "
                  f"first places", flush=True)
            good = good and worst <= 1e-4
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
