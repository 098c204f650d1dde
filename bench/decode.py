"""Decoding: 64 E2E dev tables, 5 beams, 50 new tokens, beam search and beam-sample (distilgpt2's shape, 5 virtual tokens).

    python3 bench/decode.py [--threads 2] [--rounds 3] [--inputs 64]

Sides, alternating: `sweep-runner` (whole process, model load included); generate() one input at a time, as the
experiment did; generate() on batches of 16, left-padded; CTranslate2 in float32 with the same beams (its GPT-2 has no
prefix: it decodes the plain model, with 5 more prompt tokens in the place of the prefix). When a search ends is each program's
own affair: CTranslate2's rule is not generate()'s, and how many steps it makes it does not say. --full-length makes their work
equal: the plain model with the same prompts on both sides, and an end token that nobody ever chooses, so that every text has
50 tokens. Sampling settings: temperature 1, top_p 0.9,
top_k 50.
"""
import argparse, shutil, time
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GPT2TokenizerFast
from common import *

EOT = 50256


def make_adapter(model_dir):
    """A random prefix in PEFT's format, small enough to leave the model's texts alive."""
    from peft import PrefixTuningConfig, TaskType, get_peft_model
    out = WORK / "bench-adapter"
    if not out.exists():
        torch.manual_seed(1)
        base = AutoModelForCausalLM.from_pretrained(model_dir)
        peft = get_peft_model(base, PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=5))
        peft.save_pretrained(out)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inputs", type=int, default=64)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--model", default=str(WORK / "distilgpt2-shape"))
    parser.add_argument("--sides", default="sweep,batched,ctranslate2,single")
    parser.add_argument("--modes", default="search,sample")
    parser.add_argument("--full-length", action="store_true", help="no text ends before 50 tokens, no prefix: equal work")
    args = parser.parse_args()
    machine(args.threads)
    torch.set_num_threads(args.threads)
    tok = GPT2TokenizerFast(vocab_file=str(GPT2 / "vocab.json"), merges_file=str(GPT2 / "merges.txt"))
    tables = open(E2E / "dev.txt", encoding="utf-8").read().splitlines()[:args.inputs]
    inputs = WORK / "bench-inputs.txt"
    inputs.write_text("\n".join(tables) + "\n", encoding="utf-8")
    template = PROMPT.replace(" {eos} ", "") if args.full_length else PROMPT  # behind an end token comes another, for ever
    prompts = [tok(template.format(table=t, eos="<|endoftext|>"))["input_ids"] for t in tables]
    adapter = make_adapter(args.model)
    end, ours_model = EOT, args.model
    if args.full_length:
        end, ours_model = NEVER, endless(args.model)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(args.model), adapter).eval()

    import ctranslate2
    ct_dir = WORK / "ct2"
    if not ct_dir.exists():
        AutoModelForCausalLM.from_pretrained(args.model).save_pretrained(WORK / "ct2-source")
        tok.save_pretrained(WORK / "ct2-source")

        class Converter(ctranslate2.converters.TransformersConverter):
            def load_model(self, model_class, path, **kw):  # transformers 4.50 does not know `dtype` yet
                kw.pop("dtype", None)
                return super().load_model(model_class, path, **kw)

        Converter(str(WORK / "ct2-source")).convert(str(ct_dir), quantization="float32")
    generator = ctranslate2.Generator(str(ct_dir), device="cpu", compute_type="float32", intra_threads=args.threads)
    ct_prompts = [tok.convert_ids_to_tokens(([] if args.full_length else [464] * 5) + p) for p in prompts]

    for sample in [mode == "sample" for mode in args.modes.split(",")]:
        print("beam-sample" if sample else "beam search", f"({args.inputs} inputs, {args.beams} beams; seconds):")
        kw = dict(num_beams=args.beams, max_new_tokens=50, do_sample=sample, pad_token_id=EOT)
        if sample:
            kw.update(temperature=1.0, top_p=0.9, top_k=50)

        def ours():
            for f in WORK.glob("decode-out*"):
                shutil.rmtree(f)
            settings = dict(num_beams=args.beams, max_new_tokens=50, do_sample=sample, top_p=0.9 if sample else 1.0)
            job = decode_job(ours_model, None if args.full_length else adapter, inputs, WORK / "decode-out", [settings])
            job["prompt"] = template
            seconds, _ = runner(job, args.threads)
            lines = [json.loads(line) for line in open(WORK / "decode-out0/hypotheses.jsonl", encoding="utf-8")]
            if args.full_length and any(line["tokens"] != 50 for line in lines):
                sys.exit("a text has ended: choose another NEVER")
            return seconds

        def single():
            start = time.perf_counter()
            with torch.no_grad():
                for p in prompts:
                    ids = torch.tensor([p])
                    model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **kw)
            return time.perf_counter() - start

        def batched():
            start = time.perf_counter()
            with torch.no_grad():
                for i in range(0, len(prompts), 16):
                    part = prompts[i:i + 16]
                    longest = max(map(len, part))
                    ids = torch.tensor([[EOT] * (longest - len(p)) + p for p in part])
                    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in part])
                    model.generate(input_ids=ids, attention_mask=mask, **kw)
            return time.perf_counter() - start

        def ct2():
            start = time.perf_counter()
            extra = dict(sampling_topk=50, sampling_topp=0.9) if sample else {}
            if sample:  # CTranslate2 has no beam-sample: beams of 1, one draw for each beam
                generator.generate_batch(ct_prompts, beam_size=1, num_hypotheses=args.beams, max_length=50,
                                         include_prompt_in_result=False, end_token=[end], max_batch_size=16, **extra)
            else:
                results = generator.generate_batch(ct_prompts, beam_size=args.beams, max_length=50,
                                                   include_prompt_in_result=False, end_token=[end], max_batch_size=16)
                if args.full_length and any(len(r.sequences_ids[0]) != 50 for r in results):
                    sys.exit("CTranslate2: a text has ended")
            return time.perf_counter() - start

        sides = dict(sweep=ours, batched=batched, ctranslate2=ct2, single=single)
        r = rounds(args.rounds, **{name: side for name, side in sides.items() if name in args.sides.split(",")})
        for name, what in dict(single="generate(), one input at a time", batched="generate(), batches of 16",
                               ctranslate2="CTranslate2 float32, batches of 16").items():
            if name in r:
                ratio(f"  sweep against {what}", r[name], r["sweep"])


main()
