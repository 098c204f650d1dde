#!/usr/bin/env python3
"""Writes everything below tests/golden: what the pinned packages compute, in small files that C tests read.

    python3 tools/make_goldens.py                 all (about five minutes); git diff must then be empty
    python3 tools/make_goldens.py models training     some of: text models training adapter decoding

text      tools/goldens_text.py: tokenizer, BLEU, safetensors, adapter files
models    five tiny GPT-2 of odd shapes with an adapter each: logits, losses, gradients     test_golden_logits.c, _training.c
training  50 steps of prefix tuning on the bundled model: losses, and PEFT's adapter         test_golden_training.c
adapter   a trained adapter by our own trainer, only made when it is missing (--new-adapter makes it again)
generation  what generate() takes from a model's folder when it is given no arguments   test_generation.c
decoding  generate() with that adapter and with one of PEFT's, all kinds of search           test_golden_decoding.c

Versions are checked at start (tools/theirs.py). Everything is seeded; torch runs on one thread. Bytes are the same on
the same kind of CPU; on another one the last bits of floats may differ, far below what the tests allow.
"""
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import theirs
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file, save_file as save_torch
from transformers import GPT2Config, GPT2LMHeadModel

OUT = f"{theirs.ROOT}/tests/golden"
DEMO = f"{theirs.ROOT}/runner/demo"
DATA = f"{theirs.ROOT}/sweeps/data"

# name: config, type in the file, names with `transformer.`, buffers of old files, untied head
MODELS = {
    "one_head": (dict(n_layer=1, n_head=1, n_embd=5, n_inner=7, vocab_size=37), torch.float32, True, False, False),
    "three_heads": (dict(n_layer=2, n_head=3, n_embd=12, vocab_size=101), torch.bfloat16, False, False, False),
    "half": (dict(n_layer=3, n_head=2, n_embd=14, n_inner=33, vocab_size=53), torch.float16, True, True, False),
    "untied": (dict(n_layer=2, n_head=1, n_embd=24, n_inner=10, vocab_size=64, layer_norm_epsilon=1e-3),
               torch.float32, True, False, True),
    "old_names": (dict(n_layer=1, n_head=3, n_embd=48, vocab_size=29), torch.float32, False, True, False),
}
TRAINING = {  # rates at which rounding is not amplified: docs/NUMERICS.md, "Trainings that drift apart"
    "table": dict(num_virtual_tokens=3, learning_rate=0.05, warmup_steps=5, seed=42),
    "table_padded": dict(num_virtual_tokens=2, learning_rate=0.02, pad_to_length=150, lr_scheduler_type="constant", seed=7),
    "projection": dict(num_virtual_tokens=4, prefix_projection=True, learning_rate=0.001, warmup_steps=3, seed=3),
    "projection_padded": dict(num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=40, learning_rate=0.001,
                              pad_to_length=150, weight_decay=0.1, seed=11),
    "cut": dict(num_virtual_tokens=2, learning_rate=0.05, pad_to_length=70, shuffle=False, adam_beta1=0.8,
                adam_beta2=0.99, adam_epsilon=1e-6),
}
ODD_TABLES = [  # beside the bundled ones: what a model has never seen
    "name : Café Ünïté | food : crêpes & <thé> | price : £10.50",
    "a",
    "name : x | x : x | x : x | x : x | x : x | x : x | x : x | x : x | x : x | x : x | x : x | x : x",
    "boat : 日本丸 | captain : don't know | sails : 1/2/2024",
]


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=0, separators=(",", ":"), ensure_ascii=False)
        f.write("\n")


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def save_adapter(peft, folder):
    """save_pretrained without its model card."""
    with tempfile.TemporaryDirectory() as scratch:
        name = peft.peft_config["default"].base_model_name_or_path or ""
        peft.peft_config["default"].base_model_name_or_path = name.rstrip("/").split("/")[-1]  # no path of this machine
        peft.save_pretrained(scratch)
        os.makedirs(folder, exist_ok=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copyfile(f"{scratch}/{name}", f"{folder}/{name}")


# ---- models: logits, losses, gradients ----

def make_model(name, folder):
    sizes, dtype, prefixed, buffers, untied = MODELS[name]
    n = sizes["vocab_size"]
    config = GPT2Config(n_positions=64, bos_token_id=n - 1, eos_token_id=n - 1, tie_word_embeddings=not untied, **sizes)
    model = GPT2LMHeadModel(config)
    g = torch.Generator().manual_seed(sum(map(ord, name)))
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.normal_(0, 0.3, generator=g)
            if "ln_" in key and key.endswith("weight"):
                p.add_(1)
    model.to(dtype).save_pretrained(folder)
    os.remove(f"{folder}/generation_config.json")
    path = f"{folder}/model.safetensors"
    tensors = load_file(path)
    if buffers:
        for layer in range(config.n_layer):
            tensors[f"transformer.h.{layer}.attn.bias"] = torch.tril(torch.ones(1, 1, 64, 64, dtype=torch.bool))
            tensors[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4).to(dtype)
    if not prefixed:
        tensors = {key.removeprefix("transformer."): value for key, value in tensors.items()}
    save_torch(tensors, path, metadata={"format": "pt"})


def pairs_of(rng, vocab):
    return [([int(x) for x in rng.integers(0, vocab, n)], n_prompt) for n, n_prompt in ((9, 4), (13, 1), (4, 3), (11, 6))]


def models():
    fresh(f"{OUT}/models")
    for name in MODELS:
        folder = f"{OUT}/models/{name}"
        make_model(name, folder)
        rng = np.random.default_rng(len(name))
        vocab = MODELS[name][0]["vocab_size"]
        data = pairs_of(rng, vocab)
        ids = data[1][0]
        out = {"ids": np.array(ids, dtype=np.int32),
               "pairs": np.array([p + [0] * (16 - len(p)) for p, _ in data], dtype=np.int32),
               "sizes": np.array([[len(p), k] for p, k in data], dtype=np.int32)}
        with torch.no_grad():
            out["logits"] = theirs.base_model(folder)(torch.tensor([ids])).logits[0].numpy()
        for projection, pad in itertools.product((0, 1), (0, 20)):
            peft = theirs.prefix_model(folder, 3, bool(projection), 10 * projection, 42)
            if projection and not pad:
                save_adapter(peft, f"{folder}/adapter")
                with torch.no_grad():
                    out["logits_prefix"] = peft(torch.tensor([ids])).logits[0].numpy()
            loss = peft(**theirs.collate(data, vocab - 1, pad)).loss
            loss.backward()
            tag = f"{projection}.{pad}."
            out[tag + "loss"] = np.array([loss.item()], dtype=np.float32)
            for key, p in peft.prompt_encoder.default.named_parameters():
                out[tag + key] = p.grad.numpy()
        # losses with dropout 0.1 everywhere: mean, standard deviation, and how many
        peft = theirs.prefix_model(folder, 3, False, 0, 42, dropout=0.1).train()
        batch = theirs.collate(data, vocab - 1, 0)
        torch.manual_seed(1)
        with torch.no_grad():
            losses = np.array([peft(**batch).loss.item() for _ in range(4000)])
        out["dropout"] = np.array([losses.mean(), losses.std(ddof=1), len(losses)], dtype=np.float32)
        save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, f"{folder}/golden.safetensors")


# ---- training ----

def training():
    fresh(f"{OUT}/training")
    tok = theirs.tokenizer(DEMO)
    lines = open(f"{DATA}/train.txt", encoding="utf-8").read().splitlines()[:50]
    cases = []
    for name, params in TRAINING.items():
        params = dict(params, batch_size=3, epochs=3, train_limit=50, dropout=0)
        peft = theirs.prefix_model(DEMO, params["num_virtual_tokens"], params.get("prefix_projection", False),
                                   params.get("encoder_hidden_size", 0), params.get("seed", 42))
        data = theirs.pairs(tok, lines, params.get("pad_to_length", 0))
        losses = theirs.train(peft, data, tok.eos_token_id, params)
        peft.base_model.config._name_or_path = peft.peft_config["default"].base_model_name_or_path = "demo"
        save_adapter(peft, f"{OUT}/training/{name}")
        cases.append({"name": name, "set": {k: str(v).lower() for k, v in params.items()}, "losses": losses})
        print(f"  {name}: {len(losses)} steps, loss {losses[0]:.3f} to {losses[-1]:.3f}", flush=True)
    write_json(f"{OUT}/training/losses.json", cases)


# ---- decoding ----

def adapter(again=False):
    folder = f"{OUT}/adapter"
    if os.path.isdir(folder) and not again:
        return
    with tempfile.TemporaryDirectory() as scratch:
        key = "0" * 64
        job = {"sweep_job": 1, "kind": "train", "key": key, "model": DEMO, "model_name": "demo", "prompt": theirs.PROMPT,
               "train": f"{DATA}/train.txt", "target": theirs.TARGET, "splits": [], "outputs": [
                   {"key": key, "dir": f"{scratch}/adapter", "split": 0, "params": {
                       "num_virtual_tokens": 5, "prefix_projection": True, "learning_rate": 0.005, "batch_size": 8,
                       "dropout": 0.0}}]}
        json.dump(job, open(f"{scratch}/job.json", "w"))
        subprocess.run([theirs.RUNNER, f"{scratch}/job.json"], check=True, stdout=subprocess.DEVNULL)
        fresh(folder)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copyfile(f"{scratch}/adapter/{name}", f"{folder}/{name}")


def search_settings():
    """All that issue 3 names for searches, and the kinds of sampling that the experiment used."""
    for k in (5, 20, 50):
        yield dict(num_beams=1, max_new_tokens=k)
        for beams, penalty, stop in itertools.product((3, 5, 7), (0.0, 1.0, 2.0, -1.0), ("false", "true", "never")):
            yield dict(num_beams=beams, max_new_tokens=k, length_penalty=penalty, early_stopping=stop)
        yield dict(num_beams=1, max_new_tokens=k, do_sample=True, top_p=0.9, temperature=0.7)
        yield dict(num_beams=1, max_new_tokens=k, do_sample=True, top_k=0, temperature=1.3, seed=5)
        yield dict(num_beams=5, max_new_tokens=k, do_sample=True, top_p=0.9)
        yield dict(num_beams=3, max_new_tokens=k, do_sample=True, top_p=0.9, temperature=0.1)
        yield dict(num_beams=7, max_new_tokens=k, do_sample=True, top_p=0.9, temperature=0.2, length_penalty=0.0)
        yield dict(num_beams=5, max_new_tokens=k, do_sample=True, top_k=0, seed=9, early_stopping="true")


def decoding():
    tok = theirs.tokenizer(DEMO)
    eos = tok.eos_token_id
    rows = theirs.tables(f"{DATA}/dev.txt")[3:100:13] + ODD_TABLES
    prompts = [tok(theirs.prompt_text(row, tok.eos_token))["input_ids"] for row in rows]
    settings, sequences, texts, groups = list(search_settings()), {}, [], []
    for folder, some in (("adapter", settings), ("training/projection", settings[::6])):
        model = theirs.with_adapter(DEMO, f"{OUT}/{folder}")
        answers = []
        for params in some:
            line = []
            for row, ids in zip(rows, prompts):
                tokens, score = theirs.generate(model, ids, eos, params)
                at = sequences.setdefault((rows.index(row),) + tuple(tokens), len(sequences))
                if at == len(texts):
                    texts.append(theirs.text_of(tok, tokens, row))
                line.append([at] if score is None else [at, float(f"{score:.7g}")])
            answers.append({"params": {k: str(v).lower() for k, v in params.items()}, "answers": line})
        groups.append({"adapter": folder, "searches": answers})
        print(f"  {folder}: {len(some) * len(rows)} decodings", flush=True)
    write_json(f"{OUT}/decoding.json", {
        "inputs": [{"table": row, "ids": ids} for row, ids in zip(rows, prompts)],
        "sequences": [{"ids": list(key[1:]), "input": key[0], "text": text} for key, text in zip(sequences, texts)],
        "groups": groups})
    print(f"  {len(sequences)} distinct texts")


# Folders that say something about generating: config.json's extra members, and generation_config.json (None: no such file).
FOLDERS = [
    ({}, None),
    ({}, {"_from_model_config": True, "bos_token_id": 3, "eos_token_id": 3}),
    ({}, {"eos_token_id": 5, "num_beams": 4, "max_new_tokens": 60, "length_penalty": 0.5, "early_stopping": True}),
    ({}, {"eos_token_id": [7], "do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20}),
    ({}, {"eos_token_id": 5, "do_sample": True, "temperature": None, "top_p": None, "top_k": None}),
    ({}, {"eos_token_id": 5, "early_stopping": "never", "num_beams": 2, "top_k": 0, "max_length": 20}),
    ({}, {"eos_token_id": 5, "max_length": 50}),
    ({}, {"eos_token_id": 5, "max_length": 50, "max_new_tokens": 30}),
    ({"eos_token_id": 6, "num_beams": 3, "do_sample": True, "top_k": None}, None),
    ({"num_beams": 3, "min_new_tokens": 0, "max_new_tokens": 11}, None),
    ({"num_beams": 3, "eos_token_id": 6}, {"eos_token_id": 5, "num_beams": 2}),
    ({"num_beams": 3, "eos_token_id": 6}, {"_from_model_config": True, "eos_token_id": 5}),
    ({"eos_token_id": 6}, {"_from_model_config": True, "eos_token_id": 5, "num_beams": 2}),
    ({"task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}}, None),
    ({"repetition_penalty": 1.3}, {"_from_model_config": True, "eos_token_id": 5}),
    ({"repetition_penalty": 1.3}, {"eos_token_id": 5}),
    ({"no_repeat_ngram_size": 2}, None),
    ({"min_new_tokens": 5}, None),
    ({"min_new_tokens": 5}, {"_from_model_config": True, "eos_token_id": 5}),
    ({}, {"eos_token_id": 5, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "min_length": 0, "typical_p": 1.0,
          "num_return_sequences": 1, "renormalize_logits": False, "use_cache": True, "num_beam_groups": 1,
          "diversity_penalty": 0.0, "remove_invalid_values": True, "bad_words_ids": None, "min_new_tokens": None}),
] + [({}, {"eos_token_id": 5, **one}) for one in (
    {"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 3}, {"min_new_tokens": 4}, {"min_length": 4}, {"typical_p": 0.9},
    {"renormalize_logits": True}, {"bad_words_ids": [[4]]}, {"suppress_tokens": [3]}, {"forced_eos_token_id": 5},
    {"encoder_repetition_penalty": 1.2}, {"min_p": 0.1}, {"exponential_decay_length_penalty": [5, 1.1]},
    {"begin_suppress_tokens": [2]}, {"epsilon_cutoff": 0.01}, {"eta_cutoff": 0.01}, {"forced_bos_token_id": 3},
    {"guidance_scale": 1.5}, {"sequence_bias": [[[4], -2.0]]})]


def generation():
    """What generate() takes from a folder when it is given ids alone: the values, and the processors that it makes."""
    warnings.filterwarnings("ignore")
    names = ("num_beams", "max_new_tokens", "do_sample", "temperature", "top_k", "top_p", "length_penalty", "early_stopping",
             "max_length", "eos_token_id")
    ours = {"TemperatureLogitsWarper", "TopKLogitsWarper", "TopPLogitsWarper", "InfNanRemoveLogitsProcessor"}
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        config = dict(n_layer=1, n_head=1, n_embd=4, n_positions=64, vocab_size=40, eos_token_id=9, bos_token_id=9)
        GPT2LMHeadModel(GPT2Config(**config)).save_pretrained(folder)
        for extra, own in FOLDERS:
            write_json(f"{folder}/config.json", {"model_type": "gpt2", **config, **extra})
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"{folder}/generation_config.json")
            if own is not None:
                write_json(f"{folder}/generation_config.json", own)
            model = GPT2LMHeadModel.from_pretrained(folder)
            used, _ = model._prepare_generation_config(None)
            model._prepare_special_tokens(used, False, "cpu")
            ids = torch.tensor([[1, 2]])
            values = {name: getattr(used, name) for name in names}
            used.do_sample = True  # a sweep may sample where the folder does not
            used_processors = model._get_logits_processor(used, 2, ids, None, [], "cpu", {"use_cache": True})
            others = sorted({type(p).__name__ for p in used_processors} - ours)
            cases.append({"config": {**config, **extra}, "generation_config": own, "processors": others,
                          "used": values})
    write_json(f"{OUT}/generation.json", {"cases": cases})
    print(f"  {len(cases)} folders")


def text():
    subprocess.run([sys.executable, f"{theirs.ROOT}/tools/goldens_text.py"], check=True)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    again = "--new-adapter" in sys.argv
    names = [a for a in sys.argv[1:] if a != "--new-adapter"] or ["text", "models", "training", "adapter", "generation", "decoding"]
    makers = {"text": text, "models": models, "training": training, "adapter": lambda: adapter(again),
              "generation": generation, "decoding": decoding}
    for name in names:
        if name not in makers:
            sys.exit(f"{name}: expected some of {', '.join(makers)}")
        print(name, flush=True)
        makers[name]()


if __name__ == "__main__":
    main()
