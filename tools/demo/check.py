#!/usr/bin/env python3
"""What PEFT 0.14.0 and transformers 4.50.0 make of the bundled model and data: the oracle behind docs/DEMO.md.

    python tools/demo/check.py --v 0                              # the bare model
    python tools/demo/check.py --v 10 --lr 5e-3 --epochs 1 --batch 8 --beams 5 --new 50 --temperature 0.2

Recipe: the prompt, targets and two end-of-text labels of the original experiment; padding on the right is masked, which
equals no padding; prefix with projection; dropout off; AdamW, linear schedule to 0.  Several values of --v, --beams,
--new, --temperature make a grid; BLEU is sacrebleu's, corpus and mean of sentences.
"""
import argparse
import itertools
import time
import warnings
from pathlib import Path

import torch
from peft import PrefixTuningConfig, get_peft_model
from sacrebleu.metrics import BLEU
from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup
from transformers.utils import logging

ROOT = Path(__file__).resolve().parents[2]
EOT = "<|endoftext|>"
PROMPT = "Convert the following table into English text: "


def prompt_ids(tok, table):
    return tok.encode(PROMPT + table + " " + EOT + " ")


def load_pairs(tok, path, limit):
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines()[:limit or None]:
        table, text = line.split("||")
        pairs.append((prompt_ids(tok, table), tok.encode(text + " " + EOT) + [tok.eos_token_id]))
    return pairs


def train(model, pairs, o, v, lr, log):
    torch.manual_seed(o.seed)
    m = get_peft_model(model, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=v, prefix_projection=not o.flat,
                                                 encoder_hidden_size=o.hidden or model.config.n_embd))
    m.eval()                                               # dropout 0
    params = [p for p in m.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=lr, weight_decay=0.01)
    steps = -(-len(pairs) // o.batch) * o.epochs
    sched = get_linear_schedule_with_warmup(opt, o.warmup, steps)
    t0, mean = time.time(), None
    done = 0
    for _ in range(o.epochs):
        order = torch.randperm(len(pairs)).tolist()
        for i in range(0, len(order), o.batch):
            rows = [pairs[j] for j in order[i:i + o.batch]]
            n = max(len(x) + len(y) for x, y in rows)
            ids = torch.tensor([x + y + [0] * (n - len(x) - len(y)) for x, y in rows])
            mask = torch.tensor([[1] * (len(x) + len(y)) + [0] * (n - len(x) - len(y)) for x, y in rows])
            labels = torch.tensor([[-100] * len(x) + y + [-100] * (n - len(x) - len(y)) for x, y in rows])
            loss = m(input_ids=ids, attention_mask=mask, labels=labels).loss
            loss.backward()
            opt.step()
            sched.step()
            opt.zero_grad()
            done += 1
            mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
            if log and done % 25 == 0:
                print(f"  step {done}/{steps} loss {mean:.3f} {time.time() - t0:.0f} s", flush=True)
    return m, mean, time.time() - t0


def decode(model, tok, tables, beams, new, sample, temperature, top_p, seed=42):
    texts = []
    for t in tables:
        torch.manual_seed(seed)
        x = torch.tensor([prompt_ids(tok, t)])
        extra = dict(temperature=temperature, top_k=50, top_p=top_p) if sample else {}
        y = model.generate(input_ids=x, attention_mask=torch.ones_like(x), max_new_tokens=new, num_beams=beams, do_sample=sample,
                           pad_token_id=tok.eos_token_id, **extra)
        texts.append(tok.decode(y[0, x.shape[1]:], skip_special_tokens=True).strip())
    return texts


def score(texts, refs):
    width = max(map(len, refs))
    corpus = BLEU().corpus_score(texts, [[r[i] if i < len(r) else None for r in refs] for i in range(width)])
    one = BLEU(effective_order=True)
    return corpus.score, sum(one.sentence_score(h, r).score for h, r in zip(texts, refs)) / len(texts), corpus.bp


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--model", default=str(ROOT / "runner" / "demo"))
    p.add_argument("--data", type=Path, default=ROOT / "sweeps" / "data")
    p.add_argument("--split", default="dev")
    p.add_argument("--v", type=int, nargs="+", default=[10], help="virtual tokens; 0 is the bare model")
    p.add_argument("--lr", type=float, nargs="+", default=[5e-3])
    p.add_argument("--epochs", type=int, default=1)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--limit", type=int, default=0)
    p.add_argument("--hidden", type=int, default=0)
    p.add_argument("--warmup", type=int, default=0)
    p.add_argument("--flat", action="store_true", help="no projection")
    p.add_argument("--seed", type=int, default=42)
    p.add_argument("--beams", type=int, nargs="+", default=[5])
    p.add_argument("--new", type=int, nargs="+", default=[50])
    p.add_argument("--temperature", type=float, nargs="+", default=[0.2])
    p.add_argument("--top-p", type=float, default=1.0)
    p.add_argument("--search", action="store_true", help="plain beam search instead of sampling")
    p.add_argument("--tables", type=int, default=0, help="the first N dev tables only")
    p.add_argument("--show", type=int, default=0)
    p.add_argument("--threads", type=int, default=2)
    o = p.parse_args()
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    torch.set_num_threads(o.threads)

    tok = AutoTokenizer.from_pretrained(o.model)
    pairs = load_pairs(tok, o.data / "train.txt", o.limit)
    tables = (o.data / f"{o.split}.txt").read_text(encoding="utf-8").splitlines()
    refs = [[] for _ in tables]
    for line in (o.data / f"{o.split}.out").read_text(encoding="utf-8").splitlines():
        i, _, text = line.split("||")
        refs[int(i)].append(text)
    if o.tables:
        tables, refs = tables[:o.tables], refs[:o.tables]
    n = len(pairs)
    print(f"{n} pairs, prompt {sum(len(x) for x, _ in pairs) / n:.1f} + labels {sum(len(y) for _, y in pairs) / n:.1f} tokens, "
          f"longest {max(len(x) + len(y) for x, y in pairs)}", flush=True)
    for v, lr in itertools.product(o.v, o.lr):
        model = AutoModelForCausalLM.from_pretrained(o.model, torch_dtype=torch.float32)
        if v:
            model, loss, seconds = train(model, pairs, o, v, lr, o.show)
            print(f"v {v} lr {lr:g} epochs {o.epochs} batch {o.batch} last loss {loss:.3f} trained in {seconds:.0f} s", flush=True)
        model.eval()
        for beams, new, temp in itertools.product(o.beams, o.new, o.temperature):
            t0 = time.time()
            with torch.no_grad():
                texts = decode(model, tok, tables, beams, new, not o.search, temp, o.top_p, o.seed)
            c, s, bp = score(texts, refs)
            print(f"v {v} lr {lr:g} beams {beams} new {new} temperature {temp:g}: corpus {c:.2f} sentence {s:.2f} bp {bp:.3f} "
                  f"({time.time() - t0:.0f} s)", flush=True)
            for t, h, r in list(zip(tables, texts, refs))[:o.show]:
                print(f"   {t}\n   > {h}\n   = {r[0]}")


if __name__ == "__main__":
    main()
