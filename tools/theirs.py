"""What the pinned packages compute: the Python side of every comparison (make_goldens.py, compare_*.py).

    import theirs                          refuses other versions than PINNED
    peft = theirs.prefix_model("runner/demo", v=5, projection=True, hidden=0, seed=42)   our initial values, PEFT's module
    pairs = theirs.pairs(tok, lines, pad_to_length=150)
    losses = theirs.train(peft, pairs, eos, params)
    tokens, score = theirs.generate(peft, ids, eos, {"num_beams": 5, "max_new_tokens": 50})

Two things are ours on both sides, because generators of random numbers differ by design: initial values and order of the
data come from tools/philox.py, and sampling draws by the exponential race over the same noise (runner/sample.h).
"""
import hashlib
import importlib.metadata
import os
import struct
import sys
import warnings

PINNED = {"torch": "2.13.0", "transformers": "4.50.0", "peft": "0.14.0", "tokenizers": "0.21.4", "sacrebleu": "2.6.0"}
for _name, _version in PINNED.items():
    _found = importlib.metadata.version(_name).split("+")[0]
    if _found != _version:
        sys.exit(f"{_name} {_found} is installed, the comparisons are pinned to {_version}")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from peft import PeftModel, PrefixTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, get_constant_schedule, get_constant_schedule_with_warmup
from transformers import get_linear_schedule_with_warmup
from transformers.utils import logging

import paths
import philox

logging.set_verbosity_error()
warnings.filterwarnings("ignore")
ROOT, RUNNER, SWEEP = str(paths.ROOT), str(paths.RUNNER), str(paths.SWEEP)
PROMPT, TARGET = "Convert the following table into English text: {table} {eos} ", "{text} {eos}"
MASK = (1 << 64) - 1


# ---- models ----

def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def base_model(folder, dropout=0.0):
    """In float32, with one rate for all dropouts."""
    return AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, embd_pdrop=dropout, attn_pdrop=dropout,
                                                resid_pdrop=dropout).eval()


def with_adapter(folder, adapter):
    model = base_model(folder)
    return PeftModel.from_pretrained(model, adapter).eval() if adapter else model


def prefix_model(folder, v, projection, hidden, seed, dropout=0.0):
    """PEFT's prefix tuning with the initial values of runner/prefix.c."""
    config = PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=v, prefix_projection=projection,
                                encoder_hidden_size=hidden or None)
    peft = get_peft_model(base_model(folder, dropout), config)
    key = philox.key(seed, philox.INIT)
    names = ["embedding.weight"]
    if projection:
        names += ["transform.0.weight", "transform.0.bias", "transform.2.weight", "transform.2.bias"]
    values = dict(peft.prompt_encoder.default.named_parameters())
    assert sorted(values) == sorted(names), list(values)
    with torch.no_grad():
        for t, name in enumerate(names):
            p = values[name]
            if t == 0:
                new = philox.normals(key, 0, p.numel())
            else:
                fan_in = values["transform.0.weight" if t <= 2 else "transform.2.weight"].shape[1]
                new = np.float32(1 / np.sqrt(fan_in)) * (2 * philox.units(key, t, p.numel()) - 1)
            p.copy_(torch.from_numpy(np.asarray(new, dtype=np.float32)).view_as(p))
    return peft


def table(peft):
    """The prefix's keys and values [v, 2LD], as save_pretrained writes them."""
    with torch.no_grad():
        return peft.get_prompt_embedding_to_save("default").detach().float().cpu().numpy()


# ---- training: the experiment's loop (docs/REFERENCE.md, 4) ----

def prompt_text(row, eos):
    return PROMPT.replace("{table}", row).replace("{eos}", eos)


def pairs(tok, lines, pad_to_length=0):
    """(ids, n_prompt) of each `table||text` line; cut at pad_to_length as the experiment did."""
    result = []
    for line in lines:
        row, text = line.split("||", 1)
        x = tok(prompt_text(row, tok.eos_token))["input_ids"]
        y = tok(TARGET.replace("{text}", text).replace("{eos}", tok.eos_token))["input_ids"] + [tok.eos_token_id]
        result.append(((x + y)[:pad_to_length or None], len(x)))
    return result


def collate(batch, eos, pad_to_length):
    """Left-padded to pad_to_length: PEFT then counts the pads as positions. 0: pads on the right, which changes nothing."""
    width = pad_to_length or max(len(ids) for ids, _ in batch)
    rows = {"input_ids": [], "labels": [], "attention_mask": []}
    for ids, n_prompt in batch:
        n = len(ids)
        labels = [-100] * min(n_prompt, n) + ids[n_prompt:]
        for name, row, pad in (("input_ids", ids, eos), ("labels", labels, -100), ("attention_mask", [1] * n, 0)):
            pads = [pad] * (width - n)
            rows[name].append(pads + row if pad_to_length else row + pads)
    return {name: torch.tensor(value) for name, value in rows.items()}


def train(peft, data, eos, params):
    """Losses of every step. params: the names of params.def, with all that is used given."""
    batch, epochs, pad = params["batch_size"], params["epochs"], params.get("pad_to_length", 0)
    steps = -(-len(data) // batch) * epochs
    trained = [p for p in peft.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=params["learning_rate"], weight_decay=params.get("weight_decay", 0.01),
                                  betas=(params.get("adam_beta1", 0.9), params.get("adam_beta2", 0.999)),
                                  eps=params.get("adam_epsilon", 1e-8))
    warmup = params.get("warmup_steps", 0)
    if params.get("lr_scheduler_type", "linear") == "linear":
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)
    elif params["lr_scheduler_type"] == "constant":
        schedule = get_constant_schedule(optimizer)
    else:
        schedule = get_constant_schedule_with_warmup(optimizer, warmup)
    peft.train()
    losses, key = [], philox.key(params.get("seed", 42), philox.SHUFFLE)
    for epoch in range(epochs):
        order = philox.shuffle(key, epoch, len(data)) if params.get("shuffle", True) else list(range(len(data)))
        for at in range(0, len(data), batch):
            loss = peft(**collate([data[i] for i in order[at:at + batch]], eos, pad)).loss
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    peft.eval()
    return losses


# ---- decoding ----

class Race:
    """torch.multinomial without replacement, with sweep's noise: runner/sample.h defines it."""

    def start(self, ids, seed):
        digest = hashlib.sha256(np.asarray(ids, dtype="<i4").tobytes()).digest()
        self.hash, self.key, self.step = struct.unpack("<Q", digest[:8])[0], philox.key(seed, philox.SAMPLE), 0

    def __call__(self, input, num_samples, replacement=False, generator=None):
        assert input.shape[0] == 1 and not replacement
        self.step += 1
        r = philox.words(self.key, (self.hash + self.step) & MASK, input.shape[1])
        e = -np.log((r.astype(np.float64) + 0.5) * 2.0**-32)
        return torch.topk(input / torch.from_numpy(e).to(input.dtype), num_samples).indices


race = Race()
torch.multinomial = race


def generate(model, ids, eos, params):
    """New tokens (the end token included) and the beam score of one generate() call."""
    new = dict(params)
    race.start(ids, new.pop("seed", 42))
    if "early_stopping" in new:
        new["early_stopping"] = {"false": False, "true": True, "never": "never"}[str(new["early_stopping"]).lower()]
    new.setdefault("max_new_tokens", 20)
    x = torch.tensor([ids])
    with torch.no_grad():
        out = model.generate(input_ids=x, attention_mask=torch.ones_like(x), pad_token_id=eos, eos_token_id=eos,
                             return_dict_in_generate=True, output_scores=True, **new)
    tokens = out.sequences[0, len(ids):].tolist()
    if eos in tokens:
        tokens = tokens[:tokens.index(eos) + 1]
    return tokens, float(out.sequences_scores[0]) if new.get("num_beams", 1) > 1 else None


def text_of(tok, tokens, row):
    """The line that the experiment's scorer sees (docs/REFERENCE.md, 5.6)."""
    text = tok.decode(tokens, skip_special_tokens=True).replace(PROMPT.split("{table}")[0] + row, "")
    return text.replace("\n", " ").strip()


def tables(path, limit=0):
    rows = [line for line in open(path, encoding="utf-8").read().split("\n") if line.strip()]
    return rows[:limit] if limit else rows
