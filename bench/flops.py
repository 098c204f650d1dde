"""How close to the limit: FLOP/s of the training step and of decoding as a share of BLIS's best sgemm, taken just before.

    cmake --build build/release --target bench-gemm
    python3 bench/flops.py [--threads 2] [--rounds 3]

distilgpt2's shape. Training: batch 16 of E2E, dropout on, 0.225 GFLOP a token: the products that a step really makes (no pads, logits only at
labels, nothing below the first layer's prefix), 15.2 GFLOP for a pair of mean length. Decoding:
64 tables, 5 beams, exactly 50 tokens; 0.162 GFLOP a row (2 x 81.1 million weights), attention not counted; from the first report (prompts and first
step done) to the last.
"""
import argparse
from common import *

TRAIN_TOKEN, ROW, LOGITS_ROW = 0.225, 0.1624, 0.0772


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    machine(args.threads)
    model, tables = WORK / "distilgpt2-shape", 64
    inputs = WORK / "flops-inputs.txt"
    inputs.write_text("".join(open(E2E / "dev.txt", encoding="utf-8").readlines()[:tables]), encoding="utf-8")
    train_shares, decode_shares = [], []
    for r in range(args.rounds):
        out = subprocess.run([built("bench-gemm"), str(args.threads)], capture_output=True, text=True, check=True).stdout
        best = float(out.strip().splitlines()[-1].split()[2])
        for f in WORK.glob("flops-out*"):
            shutil.rmtree(f)
        _, events = runner(train_job(model, WORK / "flops-out", num_virtual_tokens=20, prefix_projection=True, batch_size=16,
                                     train_limit=96, learning_rate=5e-5), args.threads)
        train = TRAIN_TOKEN * statistics.median([e["tokens_per_second"] for _, e in events if e["event"] == "loss"][1:])
        job = decode_job(endless(model), None, inputs, WORK / "flops-out", [dict(num_beams=5, max_new_tokens=50)])
        job["prompt"] = PROMPT.replace(" {eos} ", "")
        _, events = runner(job, args.threads)
        times = [t for t, e in events if e.get("phase") == "decode"]
        decode = (tables * 5 * 49 * ROW + tables * LOGITS_ROW) / (times[-1] - times[0])
        train_shares.append(train / best)
        decode_shares.append(decode / best)
        print(f"  round {r + 1}: BLIS's best {best:.1f} GFLOP/s, training {train:.1f} ({train / best:.0%}), decoding {decode:.1f} ({decode / best:.0%})", flush=True)
    for name, shares in {"training": train_shares, "decoding": decode_shares}.items():
        print(f"{name}: {statistics.median(shares):.0%} of BLIS's best ({min(shares):.0%} to {max(shares):.0%}, {len(shares)} rounds)")


main()
