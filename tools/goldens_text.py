#!/usr/bin/env python3
"""Golden data for everything that is text or files: tokenizer, BLEU, bootstrap, safetensors, PEFT adapters.

    python3 tools/goldens_text.py            writes tests/golden/text/ (a second or ten, seeded: same bytes each time)
    python3 tools/goldens_text.py --live N   compares 3N lines of a torture corpus with `tokenizers`, N sets with
                                                          sacrebleu (needs a built tree: BUILD=build/release)

Pinned: tokenizers 0.21.4, transformers 4.50.0, peft 0.14.0, safetensors, sacrebleu 2.6.0, numpy, torch 2.13.0 (CPU).
The tests (tests/unit/test_tokenizer.c, test_bleu.c, test_adapter.c, test_safetensors.c) read the files without Python.
Texts are stored as hex of their UTF-8 bytes, because they hold NULs and bytes that are no UTF-8 on purpose.
"""
import argparse
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import warnings

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "tests", "golden", "text")

WORDS = ("name type pub price cheap food near the a is of and restaurant city centre family friendly rated high low £20 "
         "don't we'll it's they've I'm café naïve 日本 Ελλάδα Москва 10.50 1,000 U.S.A. — “quoted” …").split()

PARTS = [" ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u2028", "\u3000", "\u180e", "\u200b", "\u0085", "\u001c", "\u000b",
         "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "\u2019s", "don't", "'", "a", "Z", "the", " the", "hello", "1", "2024",
         "½", "²", "Ⅷ", "٣", "e\u0301", "é", "ß", "日本", "한국", "नमस्ते", "ไทย", "😀", "👩\u200d👩\u200d👧", "🏳️\u200d🌈", "<|endoftext|>", "<|endoftext",
         "|>", ".", "...", "!?", "£", "—", "“", "\u0300", "_", "-", '"', "\ufeff", "ﬁ", "Ǆ", "ʼ", "ª", "\x00", "\x7f", "\U0010fffd"]
BAD = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xf8\x88"]


def torture(rng, n, bad=True):
    """n texts as bytes, some of them not UTF-8."""
    texts = []
    for i in range(n):
        kind = rng.random()
        if kind < 0.6:
            text = "".join(rng.choice(PARTS) for _ in range(rng.randint(0, 30))).encode()
        elif kind < 0.75:
            text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 40))).encode()
        elif kind < 0.9 or not bad:
            ranges = [(1, 127), (1, 0x2FF), (1, 0xD7FF), (0xE000, 0x10FFFF)]
            text = "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(1, 20))).encode()
        else:
            text = b"".join(rng.choice(BAD + [p.encode() for p in PARTS]) for _ in range(rng.randint(1, 15)))
        texts.append(text)
    for unit in ("a", "ab", "é", " ", "1", "!", "日", "xyz "):
        texts.append((unit * rng.randint(50, 400)).encode())
    return texts


def segments(rng, n):
    """n pairs of a hypothesis and its references: words that overlap, and punctuation that tokenizer 13a cares for."""
    odd = list("ab.,-19 '\"&()/") + ["&quot;", "&amp;lt;", "<skipped>", "-\n", "\n", "é", "日本", "\u00a0", "\u2028", "\x1c", "\u0085", "3,000",
                                     "U.S.", "a-b", "5-6", "£30.50", "the ", "cat ", "sat ", "\u200b", "“", "😀", "\r", "\t"]
    plain = ["the", "cat", "sat", "on", "mat", ".", "a", "dog", ",", "in"]

    def text(mode):
        if mode == 0:
            return "".join(rng.choice(odd) for _ in range(rng.randint(0, 25)))
        return " ".join(rng.choice(plain) for _ in range(rng.randint(0, 18)))

    result = []
    for _ in range(n):
        mode = rng.randint(0, 2)
        result.append((text(mode), [text(mode) for _ in range(rng.randint(1, 5))]))
    return result


def write_json(name, value):
    with open(os.path.join(OUT, name), "w") as f:
        json.dump(value, f, indent=0, separators=(",", ":"))
        f.write("\n")


def make_tokenizer(rng):
    """A byte-level BPE of 419 tokens, trained on nothing but WORDS; and what it does to texts."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    folder = os.path.join(OUT, "tokenizer")
    os.makedirs(folder, exist_ok=True)
    tok = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False)
    tok.train_from_iterator([" ".join(rng.choice(WORDS) for _ in range(30)) for _ in range(300)], trainer)
    tok.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=False)])
    tok.add_tokens([AddedToken("<table>", normalized=True), AddedToken("<table>s", normalized=True)])
    tok.save(os.path.join(folder, "tokenizer.json"))
    cases = []
    for text in torture(rng, 400) + [b"<table>s<table><|endoftext|><table> x"]:
        ids = tok.encode(text.decode("utf-8", "replace"), add_special_tokens=False).ids
        cases.append({"text": text.hex(), "ids": ids, "decoded": tok.decode(ids, skip_special_tokens=True).encode().hex()})
    size = tok.get_vocab_size()
    for _ in range(200):  # decoding of ids that no text gives: bytes that are no UTF-8
        ids = [rng.randrange(size) if rng.random() < 0.5 else rng.randrange(256) for _ in range(rng.randint(0, 12))]
        cases.append({"ids": ids, "decoded": tok.decode(ids, skip_special_tokens=True).encode().hex()})
    write_json("tokenizer_cases.json", cases)


def make_bleu(rng):
    """Scores of every smoothing, with and without effective order, and of the corpus; a paired bootstrap."""
    import sacrebleu
    from sacrebleu.metrics import BLEU

    assert sacrebleu.__version__ == "2.6.0"
    metrics = [BLEU(smooth_method=s, effective_order=e) for e in (False, True) for s in ("exp", "none", "floor", "add-k")]
    cases = segments(rng, 300)
    rows = [{"hyp": h.encode().hex(), "refs": [r.encode().hex() for r in refs],
             "tokens": metrics[0]._preprocess_segment(h).encode().hex(),
             "scores": [m.sentence_score(h, refs).score for m in metrics]} for h, refs in cases]
    most = max(len(refs) for _, refs in cases)
    corpus = BLEU()
    score = corpus.corpus_score([h for h, _ in cases],
                                [[refs[k] if k < len(refs) else None for _, refs in cases] for k in range(most)])
    write_json("bleu.json", {"segments": rows, "corpus": score.score, "signature": str(corpus.get_signature())})


def make_safetensors(rng):
    """One file with several types, names out of order, a scalar and an empty tensor, as the Rust writer lays them out."""
    import torch
    from safetensors.torch import save_file

    g = torch.Generator().manual_seed(7)
    tensors = {
        "b.weight": torch.randn(3, 5, generator=g),
        "a.weight": torch.randn(2, 2, generator=g),
        "half": torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, 6.1e-5, float("inf"), float("-inf")], dtype=torch.float16),
        "brain": torch.tensor([0.0, 1.0, -3.140625, 1e38, 1e-40], dtype=torch.bfloat16),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "mask": torch.ones(1, 1, 3, 3, dtype=torch.uint8),
        "long": torch.tensor([1, -1], dtype=torch.int64),
    }
    save_file(tensors, os.path.join(OUT, "mixed.safetensors"), metadata={"format": "pt"})


def make_adapters(rng):
    """What save_pretrained of PEFT writes for a tiny model, without and with projection."""
    import torch
    from peft import PrefixTuningConfig, TaskType, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    for projection in (False, True):
        torch.manual_seed(11)
        config = GPT2Config(vocab_size=50, n_positions=32, n_embd=12, n_layer=3, n_head=2)
        model = GPT2LMHeadModel(config)
        model.name_or_path = model.config._name_or_path = 'some/"tiny" model'
        peft = get_peft_model(model, PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=4,
                                                        prefix_projection=projection,
                                                        encoder_hidden_size=20 if projection else None))
        with tempfile.TemporaryDirectory() as scratch:
            peft.save_pretrained(scratch)
            folder = os.path.join(OUT, "adapter_projection" if projection else "adapter")
            os.makedirs(folder, exist_ok=True)
            for name in ("adapter_config.json", "adapter_model.safetensors"):
                with open(os.path.join(scratch, name), "rb") as f, open(os.path.join(folder, name), "wb") as g:
                    g.write(f.read())


def live(n):
    """Compares far more than one wants to commit; prints one line for each comparison."""
    from transformers import GPT2TokenizerFast

    import paths

    tests = str(paths.BUILD / "tests")  # test_tokenizer and test_bleu answer on standard input when given an argument
    rng = random.Random(99)
    tok = GPT2TokenizerFast(vocab_file=str(paths.GPT2 / "vocab.json"), merges_file=str(paths.GPT2 / "merges.txt"))
    import gzip
    lines = [line.rstrip(b"\n") for line in gzip.open(paths.E2E / "train.txt.gz")]
    for name in ("dev.txt", "dev.out", "small.txt", "small.out"):
        lines += [line.rstrip(b"\n") for line in open(paths.E2E / name, "rb")]
    bad = 0
    for label, texts in (("E2E lines", lines), ("torture lines", torture(rng, 3 * n))):
        sent = b"".join(text.hex().encode() + b"\n" for text in texts)
        out = subprocess.run([tests + "/test_tokenizer", str(paths.GPT2.folder())], input=sent, stdout=subprocess.PIPE, check=True).stdout
        rows = out.split(b"\n")[:-1]
        assert len(rows) == len(texts), (len(rows), len(texts))
        wrong = 0
        for text, row, ids in zip(texts, rows, tok([t.decode("utf-8", "replace") for t in texts])["input_ids"]):
            ours, decoded = row.split(b"|")
            same = [int(x) for x in ours.split()] == ids
            same = same and bytes.fromhex(decoded.decode()) == tok.decode(ids, skip_special_tokens=True).encode()
            if not same and wrong < 5:
                print("different:", repr(text[:80]), file=sys.stderr)
            wrong += not same
        print(f"tokenizer, {label}: {len(texts)} compared with tokenizers (ids and decoded text), {wrong} different")
        bad += wrong
    wrong = live_bleu(tests, rng, n)
    sys.exit(1 if bad or wrong else 0)


# Words for the live sets: other scripts, digits that are no ASCII digits, marks, and what tokenizer 13a looks at.
SCRIPTS = ("Москва — столица, 10.5 ٣٫١٤ ١٢٣ هذا نص। नमस्ते दुनिया 中文，测试。 日本語 テスト 한국어 ไทย ภาษา Ελλάδα ½ ² é e\u0301 ﬁ ß İ ı "
           "😀 👩\u200d👩 \u202b עברית 5-6 １２ ３-４ a\u00adb x\u2011y — “q” 3,000 3.5% U.S. it's &amp; &lt;b&gt; . , -").split(" ")


def hypothesis_sets(rng, n):
    """n sets of 1 to 6 segments; half of the sets have the same number of references everywhere."""
    for _ in range(n):
        size, fixed, script = rng.randint(1, 6), rng.random() < 0.5 and rng.randint(1, 4), rng.random() < 0.5
        rows = segments(rng, size)
        if script:
            text = lambda: " ".join(rng.choice(SCRIPTS) for _ in range(rng.randint(0, 12)))
            rows = [(text(), [text() for _ in refs]) for _, refs in rows]
        yield [(h, (refs * 4)[:fixed] if fixed else refs) for h, refs in rows]


def live_bleu(tests, rng, n):
    from sacrebleu.metrics import BLEU

    metrics = [BLEU(smooth_method=s, effective_order=e) for e in (False, True) for s in ("exp", "none", "floor", "add-k")]
    sets = list(hypothesis_sets(rng, n))
    sent = "".join("".join(" ".join(t.encode().hex() or "-" for t in [h] + refs) + "\n" for h, refs in rows) + "\n"
                   for rows in sets).encode()
    out = subprocess.run([tests + "/test_bleu", "-"], input=sent, stdout=subprocess.PIPE, check=True).stdout.decode()
    answers = iter(out.split("\n")[:-1])
    wrong = count = 0
    for rows in sets:
        sentences = []
        for h, refs in rows:
            scores = [m.sentence_score(h, refs).score for m in metrics]
            sentences.append(scores[4])
            wrong += [float(x) for x in next(answers).split()] != scores
            count += 1
        corpus, most = BLEU(), max(len(refs) for _, refs in rows)
        score = corpus.corpus_score([h for h, _ in rows], [[refs[k] if k < len(refs) else None for _, refs in rows]
                                                           for k in range(most)]).score
        mean = 0.0
        for value in sentences:
            mean += value
        ours = next(answers).split()
        wrong += [float(ours[0]), float(ours[1]), ours[2]] != [score, mean / len(rows), str(corpus.get_signature())]
    assert next(answers, None) is None
    print(f"BLEU: {n} sets of {count} hypotheses compared with sacrebleu: 8 scores of each segment, corpus score, mean of "
          f"sentence scores and signature of each set, {wrong} not bit-equal")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", type=int, metavar="N")
    args = parser.parse_args()
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    if args.live:
        live(args.live)  # exits
    os.makedirs(OUT, exist_ok=True)
    for i, make in enumerate((make_tokenizer, make_bleu, make_safetensors, make_adapters)):
        make(random.Random(1000 + i))


if __name__ == "__main__":
    main()
