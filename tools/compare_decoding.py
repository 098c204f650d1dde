#!/usr/bin/env python3
"""Decodes the same inputs with sweep-runner and with transformers + PEFT, one input per generate() call, and counts where
they differ: text, number of tokens, score (relative 1e-4).

    tools/compare_decoding.py --model runner/demo --adapter DIR --inputs sweeps/data/dev.txt --limit 20 \\
        --grid '{"num_beams": [1, 3], "length_penalty": [0, 1], "early_stopping": ["false", "never"]}'

--adapter random:V[:SCALE] makes a prefix of V virtual tokens, N(0, SCALE); none is the base model. The grid's lists are
multiplied out, parameter names are sweep's own. Sampling is compared with equal noise: torch.multinomial is replaced by
the exponential race of REFERENCE 5.4 over the generator of src/base/rng.h (runner/sample.h says which counter).

Needs torch, transformers 4.50.0, peft 0.14.0. Exit status 1 when anything differs.
"""
import argparse, collections, hashlib, itertools, json, os, struct, subprocess, sys, tempfile

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROMPT, TARGET = "Convert the following table into English text: {table} {eos} ", "{text} {eos}"
RNG_SAMPLE = 4
MASK = (1 << 64) - 1


def rng_key(seed, stream):
    z = (seed + 0x9E3779B97F4A7C15 * (stream + 1)) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return z & 0xFFFFFFFF, z >> 32


def rng_u32(key, hi, index):
    """Philox4x32-10 words for an array of indices at position hi (rng.h: word index % 4 of block index / 4)."""
    block = (index // 4).astype(np.uint64)
    low = np.uint64(0xFFFFFFFF)
    c0, c1 = block & low, block >> np.uint64(32)
    c2 = np.full_like(c0, hi & 0xFFFFFFFF)
    c3 = np.full_like(c0, hi >> 32)
    k0, k1 = key
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (b >> np.uint64(32)) ^ c1 ^ np.uint64(k0), b & low, (a >> np.uint64(32)) ^ c3 ^ np.uint64(k1), a & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    words = np.stack([c0, c1, c2, c3])
    return words[index % 4, np.arange(len(index))]


class Race:
    """torch.multinomial without replacement, with sweep's noise."""

    def start(self, ids, seed):
        digest = hashlib.sha256(np.asarray(ids, dtype="<i4").tobytes()).digest()
        self.hash, self.key, self.step = struct.unpack("<Q", digest[:8])[0], rng_key(seed, RNG_SAMPLE), 0

    def __call__(self, input, num_samples, replacement=False, generator=None):
        assert input.shape[0] == 1 and not replacement
        self.step += 1
        r = rng_u32(self.key, (self.hash + self.step) & MASK, np.arange(input.shape[1]))
        e = -np.log((r.astype(np.float64) + 0.5) * 2.0**-32)
        return torch.topk(input / torch.from_numpy(e).to(input.dtype), num_samples).indices


def points(grid):
    names = sorted(grid)
    for values in itertools.product(*(grid[n] if isinstance(grid[n], list) else [grid[n]] for n in names)):
        yield dict(zip(names, values))


def clean(text):
    return text.replace("\n", " ").strip()


def ours(args, settings, folder):
    """Lines of hypotheses.jsonl for each setting."""
    outputs = []
    for i, params in enumerate(settings):
        key = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
        outputs.append({"key": key, "dir": f"{folder}/{i}", "split": 0, "params": params})
    job = {"sweep_job": 1, "kind": "decode", "key": "0" * 64, "model": os.path.abspath(args.model), "model_name": args.model,
           "prompt": PROMPT, "target": TARGET, "outputs": outputs,
           "splits": [{"name": "dev", "input": os.path.abspath(args.inputs), "limit": args.limit}]}
    if args.adapter:
        job["adapter"] = os.path.abspath(args.adapter)
    path = f"{folder}/job.json"
    json.dump(job, open(path, "w"))
    done = subprocess.run([args.runner, path], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{args.runner}: {done.stdout[-1000:]}")
    return [[json.loads(line) for line in open(f"{folder}/{i}/hypotheses.jsonl")] for i in range(len(settings))]


def random_adapter(args, folder):
    """A PEFT adapter of random keys and values."""
    from peft import PrefixTuningConfig, get_peft_model
    parts = args.adapter.split(":")
    base = AutoModelForCausalLM.from_pretrained(args.model)
    torch.manual_seed(7)
    model = get_peft_model(base, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=int(parts[1])))
    with torch.no_grad():
        model.prompt_encoder.default.embedding.weight.normal_(0, float(parts[2]) if len(parts) > 2 else 1)
    model.save_pretrained(folder)
    return folder


def theirs(model, ids, params, eos):
    new = dict(params)
    seed = new.pop("seed", 42)
    if "early_stopping" in new:
        new["early_stopping"] = {"false": False, "true": True, "never": "never"}[str(new["early_stopping"]).lower()]
    new.setdefault("max_new_tokens", 20)
    race.start(ids, seed)
    x = torch.tensor([ids])
    with torch.no_grad():
        out = model.generate(input_ids=x, attention_mask=torch.ones_like(x), pad_token_id=eos, eos_token_id=eos,
                             return_dict_in_generate=True, output_scores=True, **new)
    tokens = out.sequences[0, len(ids):].tolist()
    if eos in tokens:
        tokens = tokens[:tokens.index(eos) + 1]
    score = float(out.sequences_scores[0]) if new.get("num_beams", 1) > 1 else None
    return tokens, score


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", default=f"{ROOT}/runner/demo")
    p.add_argument("--adapter")
    p.add_argument("--inputs", default=f"{ROOT}/sweeps/data/dev.txt")
    p.add_argument("--limit", type=int, default=10)
    p.add_argument("--runner", default=f"{ROOT}/build/release/sweep-runner")
    p.add_argument("--grid", default='{"num_beams": [1, 3, 5]}')
    p.add_argument("--show", type=int, default=5, help="differences to print")
    args = p.parse_args()
    torch.multinomial = race
    folder = tempfile.mkdtemp(prefix="compare-decoding-")
    if args.adapter and args.adapter.startswith("random:"):
        args.adapter = random_adapter(args, f"{folder}/adapter")
    tok = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, torch_dtype=torch.float32)
    if args.adapter:
        from peft import PeftModel
        model = PeftModel.from_pretrained(model, args.adapter)
    model.eval()
    eos = tok.eos_token_id
    tables = [line for line in open(args.inputs, encoding="utf-8").read().split("\n") if line.strip()][:args.limit]
    prompts = [tok(PROMPT.replace("{table}", t).replace("{eos}", tok.eos_token))["input_ids"] for t in tables]
    settings = list(points(json.loads(args.grid)))
    mine = ours(args, settings, folder)
    n, different, shown, texts = 0, 0, 0, set()
    worst = 0.0
    by_setting = collections.Counter()
    for s, params in enumerate(settings):
        for i, ids in enumerate(prompts):
            tokens, score = theirs(model, ids, params, eos)
            text = clean(tok.decode(tokens, skip_special_tokens=True).replace(PROMPT.split("{table}")[0] + tables[i], ""))
            texts.add(text)
            own = mine[s][i]
            close = True
            if score is not None:
                gap = abs(own["score"] - score) / max(1.0, abs(score))
                worst, close = max(worst, gap), gap <= 1e-4
            n += 1
            if own["text"] != text or own["tokens"] != len(tokens) or not close:
                different += 1
                by_setting[json.dumps(params)] += 1
                if shown < args.show:
                    shown += 1
                    print(f"input {i}, {json.dumps(params)}\n  transformers {score} {len(tokens)} {text!r}\n"
                          f"  sweep        {own['score']} {own['tokens']} {own['text']!r}")
    for setting, count in by_setting.items():
        print(f"{count} of {len(prompts)} differ: {setting}")
    print(f"{n} decodings ({len(settings)} settings x {len(prompts)} inputs, {len(texts)} distinct texts): "
          f"{n - different} identical, {different} different; largest relative score difference {worst:.1e}")
    return 1 if different else 0


race = Race()
if __name__ == "__main__":
    sys.exit(main())
