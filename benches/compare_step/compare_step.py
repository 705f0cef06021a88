"""Training steps of RDT's PyTorch code and of ours, taking turns in one run.

Both build the same network on the same made-up batch (random tokens, no encoders, no data) and do
what a step is: loss, gradient, clipping to norm 1, AdamW, moving average. They take turns in
blocks of a few steps, so that what else the machine does falls on both. Printed: the
medians and the median of the ratios of neighbouring blocks, in wall time and in CPU time of the
whole process (the one to look at where other things run). See README.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rdt", type=Path, help="a checkout of thu-ml/RoboticsDiffusionTransformer")
    parser.add_argument("--ours", type=Path, default=REPOSITORY / "target/release/examples/step_time",
                        help="cargo build --release -p rdt-train --example step_time")
    parser.add_argument("--config", type=Path, default=REPOSITORY / "configs/base.yaml")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--language-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1, help="of both, on the CPU")
    parser.add_argument("--cuda", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--warm-up", type=int, default=2, help="steps of each before anything is measured")
    parser.add_argument("--block", type=int, default=3, help="steps of a turn")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


class Ours:
    """Our half, a process that takes steps when it is told to."""

    def __init__(self, args):
        command = [str(args.ours), "--config", str(args.config)]
        for name in ["hidden", "depth", "heads", "batch", "language_tokens", "threads"]:
            command += ["--" + name.replace("_", "-"), str(getattr(args, name))]
        command += ["--cuda"] * args.cuda + ["--bf16"] * args.bf16
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def steps(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("our half ended; what it said is above")
        return [tuple(map(float, word.split("/"))) for word in line.split()]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Theirs:
    """RDT's half: its model, torch's AdamW and clipping, its moving average, as its train.py has them."""

    def __init__(self, args):
        sys.path.insert(0, str(args.rdt))
        import contextlib
        import copy

        import torch
        import yaml
        from models.ema_model import EMAModel
        from models.rdt_runner import RDTRunner

        self.torch = torch
        torch.manual_seed(0)
        torch.set_num_threads(args.threads)
        self.device = device = torch.device("cuda" if args.cuda else "cpu")
        config = yaml.safe_load(args.config.read_text())
        model = config["model"]
        model["rdt"].update(hidden_size=args.hidden, depth=args.depth, num_heads=args.heads)
        common = config["common"]
        grid = (common["img_history_size"], common["num_cameras"], 27 * 27)
        images = grid[0] * grid[1] * grid[2]
        most = config["dataset"]["tokenizer_max_length"]
        self.runner = RDTRunner(
            action_dim=common["state_dim"], pred_horizon=common["action_chunk_size"], config=model,
            lang_token_dim=model["lang_token_dim"], img_token_dim=model["img_token_dim"],
            state_token_dim=model["state_token_dim"], max_lang_cond_len=most, img_cond_len=images,
            lang_pos_embed_config=[("lang", -most)], img_pos_embed_config=[("image", (*grid[:2], -grid[2]))],
            dtype=torch.bfloat16 if args.bf16 else torch.float32,
        ).to(device)
        ema = model["ema"]
        self.ema = EMAModel(copy.deepcopy(self.runner), **ema)
        self.optimizer = torch.optim.AdamW(self.runner.parameters(), lr=1e-4, weight_decay=1e-2)
        width, kind = common["state_dim"], torch.bfloat16 if args.bf16 else torch.float32
        random = lambda *shape: torch.randn(shape, device=device, dtype=kind)
        self.batch = dict(
            lang_tokens=random(args.batch, args.language_tokens, model["lang_token_dim"]),
            lang_attn_mask=torch.ones(args.batch, args.language_tokens, dtype=torch.bool, device=device),
            img_tokens=random(args.batch, images, model["img_token_dim"]),
            state_tokens=random(args.batch, 1, width),
            action_gt=random(args.batch, common["action_chunk_size"], width),
            action_mask=torch.ones(args.batch, 1, width, device=device, dtype=kind),
            ctrl_freqs=torch.full((args.batch,), 20.0, device=device),
        )
        # accelerate wraps the forward pass like this for bf16.
        self.cast = (
            (lambda: torch.autocast(device.type, torch.bfloat16)) if args.bf16 else contextlib.nullcontext
        )

    def step(self):
        with self.cast():
            loss = self.runner(**self.batch)
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.runner.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)
        self.ema.step(self.runner)
        return loss.detach().item()

    def steps(self, count):
        seconds = []
        for _ in range(count):
            started, cpu = time.perf_counter(), time.process_time()
            self.step()
            if self.device.type == "cuda":
                self.torch.cuda.synchronize()
            seconds.append((time.perf_counter() - started, time.process_time() - cpu))
        return seconds


def main():
    args = arguments()
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    halves = {"ours": Ours(args), "rdt": Theirs(args)}
    for half in halves.values():
        half.steps(args.warm_up)
    taken = {name: [] for name in halves}
    for turn in range(args.rounds):
        # The order changes, so that neither always comes second.
        names = list(halves) if turn % 2 == 0 else list(halves)[::-1]
        for name in names:
            # The other half's threads stop spinning first.
            time.sleep(0.3)
            taken[name].append(halves[name].steps(args.block))
    halves["ours"].end()
    result = {}
    for which, clock in enumerate(["wall", "cpu"]):
        block = {
            name: [statistics.median(step[which] for step in turn) for turn in turns]
            for name, turns in taken.items()
        }
        ratios = [ours / rdt for ours, rdt in zip(block["ours"], block["rdt"])]
        for name, medians in block.items():
            result[f"{name}_{clock}_ms"] = round(1000 * statistics.median(medians), 2)
        result[f"{clock}_ratio"] = round(statistics.median(ratios), 4)
        result[f"{clock}_ratios"] = [round(min(ratios), 4), round(max(ratios), 4)]
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(name, value)


if __name__ == "__main__":
    main()
