#!/usr/bin/env python3
"""Adapters in both directions, without and with projection, on the bundled model: those that sweep-runner trained load in
PeftModel.from_pretrained, those that PEFT trained and saved load in `sweep generate`, and both programs write the same
texts with them (greedy, 5 beams, and beam-sample with equal noise). Exit status 1 when a text differs.

    tools/compare_adapters.py [--inputs 10]
"""
import argparse, json, os, subprocess, sys, tempfile

import compare_training
import theirs

DEMO = f"{theirs.ROOT}/runner/demo"
TRAIN = f"{theirs.ROOT}/sweeps/data/train.txt"
SEARCHES = ({"max_new_tokens": 30}, {"num_beams": 5, "max_new_tokens": 50},
            {"num_beams": 5, "max_new_tokens": 40, "do_sample": True, "top_p": 0.9})


def from_sweep(args, params, scratch):
    compare_training.ours(args, params, scratch)
    return f"{scratch}/adapter"


def from_peft(args, params, scratch):
    peft, data, eos = compare_training.setting(args, params)
    theirs.train(peft, data, eos, params)
    peft.save_pretrained(f"{scratch}/peft")
    return f"{scratch}/peft"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--inputs", type=int, default=10)
    args = p.parse_args()
    args.model, args.train = DEMO, TRAIN
    rows = theirs.tables(f"{theirs.ROOT}/sweeps/data/dev.txt", args.inputs)
    tok = theirs.tokenizer(DEMO)
    bad = 0
    for projection in (False, True):
        for maker in (from_sweep, from_peft):
            params = {"num_virtual_tokens": 4, "prefix_projection": projection, "learning_rate": 0.005 if projection else 0.05,
                      "batch_size": 4, "epochs": 1, "train_limit": 120, "dropout": 0.0}
            with tempfile.TemporaryDirectory() as scratch:
                folder = maker(args, params, scratch)
                about = json.load(open(f"{folder}/adapter_config.json"))
                assert about["prefix_projection"] is projection and about["peft_type"] == "PREFIX_TUNING"
                model = theirs.with_adapter(DEMO, folder)
                same, texts = 0, set()
                for search in SEARCHES:
                    sets = [x for k, v in search.items() for x in ("--set", f"{k}={str(v).lower()}")]
                    done = subprocess.run([theirs.SWEEP, "generate", "--adapter", folder, "--model", DEMO] + sets,
                                          input="".join(row + "\n" for row in rows), stdout=subprocess.PIPE, text=True,
                                          check=True, env=dict(os.environ, NO_COLOR="1"))
                    mine = done.stdout.split("\n")[:-1]
                    assert len(mine) == len(rows), done.stdout
                    for row, text in zip(rows, mine):
                        ids = tok(theirs.prompt_text(row, tok.eos_token))["input_ids"]
                        want = theirs.text_of(tok, theirs.generate(model, ids, tok.eos_token_id, search)[0], row)
                        texts.add(want)
                        same += text == want
                        if text != want:
                            print(f"different: {search}\n  sweep {text!r}\n  PEFT  {want!r}")
            n = len(rows) * len(SEARCHES)
            bad += n - same
            print(f"adapter of {'sweep' if maker is from_sweep else 'PEFT'}, projection {'on' if projection else 'off'}: {same} of "
                  f"{n} texts identical ({len(texts)} distinct)", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
