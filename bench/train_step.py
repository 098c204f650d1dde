"""Training: examples a second of one prefix-tuning step at batch 16 (distilgpt2's shape, E2E, dropout as in the model).

    python3 bench/train_step.py [--threads 2] [--rounds 3] [--steps 6]

Three sides, alternating: `sweep-runner`; transformers + PEFT exactly as the experiment ran it (every sequence
left-padded to 150, logits for all columns); a careful PyTorch loop (padded to the longest of the batch, logits only
where a label is, prefix handed over as past_key_values). Same model, same first pairs of the file in the same order,
fp32. One warm-up step each, which is not counted.
"""
import argparse, gzip, itertools, shutil, time
import torch
from peft import PrefixTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, GPT2TokenizerFast
from common import *

EOT = 50256


def pairs(tok, n):
    with gzip.open(E2E / "train.txt.gz", "rt", encoding="utf-8") as f:
        for line in itertools.islice(f, n):
            table, text = line.rstrip("\n").split("||")
            x = tok(PROMPT.format(table=table, eos="<|endoftext|>"))["input_ids"]
            y = tok(TARGET.format(text=text, eos="<|endoftext|>"))["input_ids"] + [EOT]
            yield x, y


def batch_of(examples, length):
    ids, labels, mask = [], [], []
    for x, y in examples:
        pad = length - len(x) - len(y)
        ids.append([EOT] * pad + x + y)
        labels.append([-100] * (pad + len(x)) + y)
        mask.append([0] * pad + [1] * (len(x) + len(y)))
    return torch.tensor(ids), torch.tensor(labels), torch.tensor(mask)


def python_model(model_dir, v):
    model = AutoModelForCausalLM.from_pretrained(model_dir)
    model = get_peft_model(model, PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=v, prefix_projection=True))
    model.train()
    return model, torch.optim.AdamW(model.parameters(), lr=5e-5)


def as_experiment(model, optimizer, examples):
    ids, labels, mask = batch_of(examples, 150)
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def careful(model, optimizer, examples):
    ids, labels, mask = batch_of(examples, max(len(x) + len(y) for x, y in examples))
    past = model.get_prompt(batch_size=len(examples))
    v = model.active_peft_config.num_virtual_tokens
    mask = torch.cat([torch.ones(len(examples), v, dtype=mask.dtype), mask], dim=1)
    base = model.get_base_model()
    hidden = base.transformer(input_ids=ids, attention_mask=mask, past_key_values=past).last_hidden_state[:, :-1]
    wanted = labels[:, 1:] != -100
    loss = torch.nn.functional.cross_entropy(base.lm_head(hidden[wanted]), labels[:, 1:][wanted])
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--model", default=str(WORK / "distilgpt2-shape"))
    args = parser.parse_args()
    machine(args.threads)
    torch.set_num_threads(args.threads)
    tok = GPT2TokenizerFast(vocab_file=str(GPT2 / "vocab.json"), merges_file=str(GPT2 / "merges.txt"))
    data = list(pairs(tok, 16 * (args.steps + 1)))
    batches = [data[i:i + 16] for i in range(0, len(data), 16)]
    model, optimizer = python_model(args.model, 5)

    def torch_side(step):
        def run():
            step(model, optimizer, batches[0])
            start = time.perf_counter()
            for b in batches[1:]:
                step(model, optimizer, b)
            return (time.perf_counter() - start) / (16 * args.steps)
        return run

    def ours():
        out = WORK / "train-out"
        shutil.rmtree(out, ignore_errors=True)
        job = train_job(args.model, out, num_virtual_tokens=5, prefix_projection=True, shuffle=False,
                        train_limit=16 * (args.steps + 1), pad_to_length=150)
        _, events = runner(job, args.threads)
        times = {e["step"]: t for t, e in events if e["event"] == "loss"}
        return (times[args.steps + 1] - times[1]) / (16 * args.steps)

    print("seconds for each example:")
    r = rounds(args.rounds, sweep=ours, experiment=torch_side(as_experiment), careful=torch_side(careful))
    for name, values in r.items():
        print(f"{name}: {1 / statistics.median(values):.2f} examples/s")
    ratio("sweep against transformers + PEFT as the experiment ran it", r["experiment"], r["sweep"])
    ratio("sweep against a careful PyTorch loop", r["careful"], r["sweep"])


main()
