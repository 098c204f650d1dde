#!/usr/bin/env python3
"""Makes the bundled model runner/demo/: a byte-level BPE and a small GPT-2, pre-trained on grammar.corpus().

    python3 tools/demo/make_model.py                 # the bundled model
    python3 tools/demo/make_model.py --steps 100 -o /tmp/demo     # a quick look

Needs torch 2.13, transformers 4.50.0 and numpy.  Everything is seeded; on one kind of CPU with one thread count the
same weights come out, elsewhere they differ in rounding.  docs/DEMO.md has sizes, losses and times.
"""
import argparse
import hashlib
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer, GPT2TokenizerFast

import grammar

ROOT = Path(__file__).resolve().parents[2]


def make_tokenizer(out, texts, size, positions):
    """Trains a byte-level BPE of `size` tokens, `<|endoftext|>` the last, and saves it in GPT-2's file formats."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator((piece for x in texts for piece in x.replace(grammar.CUT, grammar.EOT).split(grammar.EOT)), trainers.BpeTrainer(
        vocab_size=size - 1, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    bpe = json.loads(t.to_str())["model"]
    vocab = dict(bpe["vocab"])
    vocab[grammar.EOT] = len(vocab)
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = [m if isinstance(m, str) else " ".join(m) for m in bpe["merges"]]
    (out / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n", encoding="utf-8")
    fast = GPT2TokenizerFast(str(out / "vocab.json"), str(out / "merges.txt"), model_max_length=positions)
    fast.save_pretrained(out)
    for extra in ("special_tokens_map.json", "added_tokens.json"):
        (out / extra).unlink(missing_ok=True)
    slow = GPT2Tokenizer.from_pretrained(out)
    for s in (x.replace(grammar.CUT, "") for x in texts[:200]):
        assert fast.encode(s) == slow.encode(s), s
    return fast


def pack(tok, texts):
    """All documents one after the other, each ended by <|endoftext|>."""
    eot = tok.convert_tokens_to_ids(grammar.EOT)
    ids = []
    for text in texts:
        for part in text.split(grammar.CUT):
            ids += tok.encode(part)
        ids.append(eot)
    return np.array(ids, dtype=np.int64)


def start_copying(model, seed):
    """Starts the model with a rough copying circuit instead of noise, and leaves the rest to training.

    To copy a name out of a table a transformer needs an induction circuit: a head that looks at the token before, and a
    later head that finds 'where did the present token stand before, and what came next?'.  From random weights our
    budget of a few million tokens ends before it forms (measured: 1.2 million tokens, no copying at all).  So:
    the residual stream starts as four parts, positions | token before | token before that | token;
    block 0, heads 0 and 1, attend one and two places back and write what they see into the second and third part;
    block 1, heads 0 and 1, match the present token against 'token before' and add the token found to the output.
    Everything stays trainable and everything moves."""
    c = model.config
    d, H = c.n_embd, c.n_embd // c.n_head                       # width, and width of a head
    g = torch.Generator().manual_seed(seed)
    pos, prev, prev2, tok = slice(0, H), slice(H, 2 * H), slice(2 * H, 3 * H), slice(3 * H, d)
    n = d - 3 * H

    def projection():                                           # [n, H], orthonormal columns
        return torch.linalg.qr(torch.randn(n, H, generator=g))[0]

    def put(w, part, head, rows, value):                        # part 0 q, 1 k, 2 v of a c_attn weight [d, 3d]
        w[:, part * d + head * H:part * d + (head + 1) * H] = 0
        w[rows, part * d + head * H:part * d + (head + 1) * H] = value

    t = model.transformer
    with torch.no_grad():
        for block in t.h:
            block.attn.c_proj.weight.mul_(0.3)                  # the other heads whisper at first
            block.mlp.c_proj.weight.mul_(0.3)
        t.wte.weight.mul_((d / n) ** 0.5)
        t.wte.weight[:, :3 * H] = 0
        theta = 2.6 * (0.015 / 2.6) ** (torch.arange(H // 2) / (H // 2 - 1))
        angle = torch.arange(c.n_positions)[:, None] * theta
        t.wpe.weight.zero_()
        t.wpe.weight[:, pos] = 0.028 * torch.cat([angle.sin(), angle.cos()], 1)
        for head, (back, into) in enumerate(((1, prev), (2, prev2))):
            cos, sin = torch.diag((back * theta).cos()), torch.diag((back * theta).sin())
            rot = torch.cat([torch.cat([cos, sin], 1), torch.cat([-sin, cos], 1)], 0)   # (sin a, cos a) -> a - back
            a = t.h[0].attn
            put(a.c_attn.weight, 0, head, pos, 2.0 * rot)
            put(a.c_attn.weight, 1, head, pos, 2.0 * torch.eye(H))
            seen = projection()
            if back == 1:
                match = seen
            put(a.c_attn.weight, 2, head, tok, seen)
            a.c_proj.weight[head * H:(head + 1) * H] = 0
            a.c_proj.weight[head * H:(head + 1) * H, into] = 0.02 * torch.eye(H)
        for head in (0, 1):
            a, found = t.h[1].attn, projection()
            put(a.c_attn.weight, 0, head, tok, 1.6 * match)
            put(a.c_attn.weight, 1, head, prev, 1.6 * torch.eye(H))
            put(a.c_attn.weight, 2, head, tok, found)
            a.c_proj.weight[head * H:(head + 1) * H] = 0
            a.c_proj.weight[head * H:(head + 1) * H, tok] = 0.2 * found.T


def pretrain(model, stream, held, steps, batch, length, lr, on_save):
    """AdamW, cosine from lr to lr/20 after 120 steps of warm-up (with 48, and fewer forms, the copying circuit was lost); bf16 matrix products.  Returns (train loss, held-out loss)."""
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() < 2]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
                            lr=lr, betas=(0.9, 0.98), fused=True)
    warm, t0, mean = 120, time.time(), None
    windows = (len(stream) - 1) // length

    def loss_of(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = model.transformer(x[:, :-1]).last_hidden_state
            logits = h @ model.lm_head.weight.T
        return torch.nn.functional.cross_entropy(logits.float().reshape(-1, logits.shape[-1]), x[:, 1:].reshape(-1))

    for step in range(steps):
        f = min(1, (step + 1) / warm) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for g in opt.param_groups:
            g["lr"] = lr * f
        rows = (step * batch + np.arange(batch)) % windows         # in the order of the corpus, which starts easy
        x = torch.from_numpy(np.stack([stream[i * length:i * length + length + 1] for i in rows]))
        loss = loss_of(x)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 50 == 49 or step == steps - 1:
            print(f"step {step + 1}/{steps} loss {loss.item():.3f} mean {mean:.3f} "
                  f"{(step + 1) * batch * length / (time.time() - t0):.0f} tokens/s {time.time() - t0:.0f} s", flush=True)
        if on_save and step % on_save[0] == on_save[0] - 1:
            on_save[1]()
    with torch.no_grad():
        n = min(64, (len(held) - 1) // length)
        xs = torch.from_numpy(np.stack([held[i * length:i * length + length + 1] for i in range(n)]))
        held_loss = sum(loss_of(b).item() * len(b) for b in xs.split(8)) / n
    return mean, held_loss


def save(model, out):
    """Half-precision weights in Hugging Face format; the model in memory stays as it is."""
    state = {k: v.detach().to(torch.float16) for k, v in model.state_dict().items() if k != "lm_head.weight"}
    model.save_pretrained(out, state_dict=state, safe_serialization=True)
    config = json.loads((out / "config.json").read_text())
    config["torch_dtype"] = "float16"              # save_pretrained writes the dtype of the model in memory
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (out / "model.safetensors").chmod(0o644)
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("-o", "--out", type=Path, default=ROOT / "runner" / "demo")
    p.add_argument("--documents", type=int, default=28000)
    p.add_argument("--steps", type=int, default=800)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--length", type=int, default=256)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--vocab", type=int, default=3072)
    p.add_argument("--embd", type=int, default=224)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--heads", type=int, default=7)
    p.add_argument("--seed", type=int, default=grammar.SEED)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--save-every", type=int, default=0, help="also save on the way, every N steps")
    o = p.parse_args()

    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    t0 = time.time()
    texts = list(grammar.corpus(o.documents, o.seed))
    held = list(grammar.corpus(500, o.seed + 7))
    tok = make_tokenizer(o.out, texts[-20000:], o.vocab, o.length)
    stream, held_stream = pack(tok, texts), pack(tok, held)
    eot = tok.convert_tokens_to_ids(grammar.EOT)
    print(f"{len(texts)} documents, {len(stream)} tokens, vocabulary {len(tok)}, {time.time() - t0:.0f} s", flush=True)

    config = GPT2Config(vocab_size=len(tok), n_positions=o.length, n_embd=o.embd, n_layer=o.layers, n_head=o.heads,
                        embd_pdrop=0.1, attn_pdrop=0.1, resid_pdrop=0.1, bos_token_id=eot, eos_token_id=eot)
    model = GPT2LMHeadModel(config)
    start_copying(model, o.seed)
    model.eval()                                   # no dropout: the text is endless, so nothing can be over-fitted
    n = sum(q.numel() for q in model.parameters())
    print(f"{n} parameters", flush=True)
    mean, held_loss = pretrain(model, stream, held_stream, o.steps, o.batch, o.length, o.lr,
                               (o.save_every, lambda: save(model, o.out)) if o.save_every else None)
    sha = save(model, o.out)
    kept = load_file(o.out / "model.safetensors")
    facts = {"parameters": n, "vocabulary": len(tok), "corpus_tokens": len(stream), "tokens_seen": o.steps * o.batch * o.length,
             "loss_train": round(mean, 4), "loss_held_out": round(held_loss, 4), "seconds": round(time.time() - t0),
             "tensors": len(kept), "sha256": sha, "layers": o.layers, "width": o.embd, "heads": o.heads, "positions": o.length}
    print(json.dumps(facts))
    card(o.out, facts)


def card(out, f):
    (out / "README.md").write_text(f"""---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [gpt2, prefix-tuning, demo]
---
# The demo model of sweep

A very small GPT-2 ({f['parameters']:,} parameters: {f['layers']} layers, width {f['width']}, {f['heads']} heads, {f['positions']} positions,
{f['vocabulary']:,} tokens), so that a whole prefix-tuning sweep fits into a minute or two on two cores. It speaks only the toy English of
our own grammar (`tools/demo/grammar.py`): cards such as `name : Velmar | type : shop | open : Monday`, and texts about them in a
dozen styles. It knows nothing of the world and is good for nothing but trying out and testing `sweep`.

Made by `tools/demo/make_model.py` ({f['tokens_seen']:,} tokens of generated text seen, {f['seconds']} s on two CPU cores; loss {f['loss_train']:.3f} nats a
token in training, {f['loss_held_out']:.3f} on held-out documents). No text and no weights were taken from anywhere. Details: `docs/DEMO.md`.

    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained("runner/demo")
    tokenizer = AutoTokenizer.from_pretrained("runner/demo")

Weights: `model.safetensors`, F16, SHA-256 `{f['sha256']}`. License: MIT.
""", encoding="utf-8")


if __name__ == "__main__":
    main()
