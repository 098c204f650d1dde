"""A whole grid: `sweep run` against a Python script that trains once for each virtual-token setting and decodes each run.

    python3 bench/grid.py [--threads 2] [--rounds 1] [--inputs 20]

Bundled model and data; 3 virtual tokens x 3 beams x 3 max_new_tokens x 2 temperatures = 54 runs, sampling on, the first
--inputs tables of dev. Both sides train 3 prefixes with the settings of sweeps/beam_grid.yaml. The Python side is what
people write: transformers + PEFT, one input at a time (the experiment's own way), sacrebleu for the scores.
"""
import argparse, random, shutil, time
import torch
import sacrebleu
import yaml
from peft import PrefixTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup
from common import *

DEMO, DATA = ROOT / "runner/demo", ROOT / "sweeps/data"
GRID = dict(num_virtual_tokens=[5, 10, 20], num_beams=[3, 5, 7], max_new_tokens=[20, 35, 50], temperature=[0.2, 1.0])


def python_side(settings, tables, references):
    tok = AutoTokenizer.from_pretrained(DEMO)
    eos, eos_text = tok.eos_token_id, tok.eos_token
    lines = [line.rstrip("\n").split("||") for line in open(DATA / "train.txt", encoding="utf-8")]
    data = []
    for table, text in lines:
        x = tok(PROMPT.format(table=table, eos=eos_text))["input_ids"]
        y = tok(TARGET.format(text=text, eos=eos_text))["input_ids"] + [eos]
        data.append((x, y))
    scores = {}
    bleu = sacrebleu.BLEU()
    for v in GRID["num_virtual_tokens"]:
        torch.manual_seed(42)
        random.seed(42)
        base = AutoModelForCausalLM.from_pretrained(DEMO, torch_dtype=torch.float32)
        model = get_peft_model(base, PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=v, prefix_projection=True))
        model.eval()  # dropout 0, as the sweep file says
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"])
        steps = -(-len(data) // settings["batch_size"]) * settings["epochs"]
        schedule = get_linear_schedule_with_warmup(optimizer, settings.get("warmup_steps", 0), steps)
        for _ in range(settings["epochs"]):
            random.shuffle(data)
            for i in range(0, len(data), settings["batch_size"]):
                part = data[i:i + settings["batch_size"]]
                longest = max(len(x) + len(y) for x, y in part)
                pads = [longest - len(x) - len(y) for x, y in part]
                ids = torch.tensor([[eos] * p + x + y for p, (x, y) in zip(pads, part)])
                labels = torch.tensor([[-100] * (p + len(x)) + y for p, (x, y) in zip(pads, part)])
                mask = torch.tensor([[0] * p + [1] * (longest - p) for p in pads])
                model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
        for beams in GRID["num_beams"]:
            for k in GRID["max_new_tokens"]:
                for t in GRID["temperature"]:
                    texts = []
                    with torch.no_grad():
                        for table in tables:
                            ids = torch.tensor([tok(PROMPT.format(table=table, eos=eos_text))["input_ids"]])
                            out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True,
                                                 num_beams=beams, max_new_tokens=k, temperature=t, pad_token_id=eos)
                            texts.append(tok.decode(out[0, ids.shape[1]:], skip_special_tokens=True))
                    scores[v, beams, k, t] = bleu.corpus_score(texts, references).score
        print(f"  python: {v} virtual tokens done", flush=True)
    return scores


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=20)
    args = parser.parse_args()
    machine(args.threads)
    torch.set_num_threads(args.threads)
    tables = open(DATA / "dev.txt", encoding="utf-8").read().splitlines()[:args.inputs]
    by_id = {}
    for line in open(DATA / "dev.out", encoding="utf-8"):
        i, _, text = line.rstrip("\n").split("||")
        by_id.setdefault(int(i), []).append(text)
    most = max(len(by_id[i]) for i in range(args.inputs))
    references = [[by_id[i][r] if r < len(by_id[i]) else None for i in range(args.inputs)] for r in range(most)]
    fixed = {k: v for k, v in yaml.safe_load(open(ROOT / "sweeps/beam_grid.yaml"))["parameters"].items()
             if k not in GRID and not isinstance(v, (list, dict))}
    fixed = {k: float(v) if k == "learning_rate" else v for k, v in fixed.items()}
    folder = WORK / "grid"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "dev.out").write_text("".join(line for line in open(DATA / "dev.out", encoding="utf-8")
                                            if int(line.split("||")[0]) < args.inputs), encoding="utf-8")
    (folder / "dev.txt").write_text("\n".join(tables) + "\n", encoding="utf-8")
    sweep = dict(name="bench_grid", model="demo", method="grid",
                 dataset=dict(train=str(DATA / "train.txt"), eval=dict(dev=dict(input="dev.txt", references="dev.out"))),
                 parameters={**fixed, **GRID})
    (folder / "grid.yaml").write_text(yaml.safe_dump(sweep))

    def ours():
        for f in folder.glob("results*"):
            shutil.rmtree(f) if f.is_dir() else f.unlink()
        start = time.perf_counter()
        subprocess.run([SWEEP, "run", "grid.yaml", "--jobs", str(args.threads)], cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - start

    def theirs():
        start = time.perf_counter()
        scores = python_side(fixed, tables, references)
        best = max(scores, key=scores.get)
        seconds = time.perf_counter() - start
        print("  python's best:", best, f"{scores[best]:.2f} BLEU")
        return seconds

    r = rounds(args.rounds, sweep=ours, python=theirs)
    print(subprocess.run([SWEEP, "report", "--top", "1", "--db", "results.db"], cwd=folder, capture_output=True, text=True).stdout)
    ratio(f"sweep against a Python script, 54 runs, {args.inputs} dev tables", r["python"], r["sweep"])


main()
