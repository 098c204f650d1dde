"""Makes build/bench/distilgpt2-shape: distilgpt2's exact shape with random weights whose texts end at natural lengths.

    python3 bench/make_model.py

GPT-2's initialisation gives an almost uniform next token, and a text that never ends. Here the token embeddings are
scaled until the most probable token has about a third of the mass, and the final LayerNorm's bias leans towards the end
token, found by bisection so that 5 beams stop after about 25 tokens on average. Seed 0.
"""
import shutil
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast
from common import E2E, GPT2, PROMPT, WORK

EOT = 50256


def mean_length(model, tok, tables, boost):
    with torch.no_grad():
        w = model.transformer.wte.weight[EOT]
        model.transformer.ln_f.bias.copy_(boost * w / w.dot(w))
    lengths = []
    for table in tables:
        ids = torch.tensor([tok(PROMPT.format(table=table, eos="<|endoftext|>"))["input_ids"]])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), num_beams=5, max_new_tokens=50, do_sample=False,
                             pad_token_id=EOT)
        lengths.append(out.shape[1] - ids.shape[1])
    return sum(lengths) / len(lengths)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(2)
    tok = GPT2TokenizerFast(vocab_file=str(GPT2 / "vocab.json"), merges_file=str(GPT2 / "merges.txt"))
    config = GPT2Config(n_layer=6, bos_token_id=EOT, eos_token_id=EOT)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        model.transformer.wte.weight.mul_(8.0)
        model.transformer.wpe.weight.mul_(8.0)
        for block in model.transformer.h:  # blocks that matter, so that contexts differ
            block.attn.c_proj.weight.mul_(6.0)
            block.mlp.c_proj.weight.mul_(6.0)
    tables = open(E2E / "dev.txt").read().splitlines()[:8]
    low, high = 0.0, 40.0
    for _ in range(7):
        middle = (low + high) / 2
        length = mean_length(model, tok, tables, middle)
        print(f"end-token boost {middle:.2f}: mean length {length:.1f}", flush=True)
        low, high = (middle, high) if length > 25 else (low, middle)
        if 20 < length < 30:
            break
    out = WORK / "distilgpt2-shape"
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    shutil.copy(GPT2 / "vocab.json", out)
    shutil.copy(GPT2 / "merges.txt", out)
    print("saved to", out)


main()
