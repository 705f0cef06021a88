"""Draws the pictures of docs/learning.md from the folders of the runs that it describes.

python plot.py RUNS: RUNS holds the output folders by the names used there. Needs matplotlib.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

MSE = "overall_avg_sample_mse"
HERE = Path(__file__).resolve().parent


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def sampled(start, run):
    """(step, mse) of a run, the untrained network first."""
    first = json.loads(start.read_text())["unrounded"][MSE]
    records = lines(run / "samples.jsonl")
    return [0] + [r["step"] for r in records], [first] + [r["unrounded"][MSE] for r in records]


def falling(start, run, share, title, name):
    steps, values = sampled(start, run)
    figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
    axes.semilogy(steps, values, marker="o", markersize=3)
    axes.axhline(values[0] * share, color="grey", linestyle="--", linewidth=1)
    axes.text(steps[-1], values[0] * share, f"{share:g} of the start", ha="right", va="bottom", color="grey")
    axes.set(xlabel="optimiser step", ylabel="sample_mse", title=title)
    axes.grid(alpha=0.3)
    figure.savefig(HERE / name, dpi=90)
    best = min(range(len(values)), key=values.__getitem__)
    reached = next((s for s, v in zip(steps, values) if v <= share * values[0]), None)
    print(f"{name}: start {values[0]:.4g}, lowest {values[best]:.4g} at step {steps[best]} "
          f"({values[0] / values[best]:.1f}x), last {values[-1]:.4g} ({values[0] / values[-1]:.1f}x), "
          f"{share:g} of the start first at step {reached}")


def arms(runs):
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    names = {"all": "every step once an epoch", "draws": "a new random draw each time",
             "random": "random draws, as many as steps, repeated"}
    for color, (arm, label) in zip(["C0", "C1", "C2"], names.items()):
        for seed, style in [(0, "-"), (1, "--")]:
            run = runs / f"cmp_{arm}_{seed}"
            records = lines(run / "metrics.jsonl")
            window = 15
            loss = [r["loss"] for r in records]
            smooth = [sum(loss[max(0, i - window + 1):i + 1]) / min(i + 1, window) for i in range(len(loss))]
            left.semilogy([r["step"] for r in records], smooth, style, color=color, linewidth=1.2,
                          label=f"{label}, seed {seed}")
            points = []
            for step in [100, 200, 300]:
                file = runs / f"cmp_{arm}_{seed}.held.{step}.json"
                points.append((step, json.loads(file.read_text())["unrounded"][MSE]))
            right.plot(*zip(*points), style, color=color, marker="o", markersize=3)
            every = json.loads((runs / f"cmp_{arm}_{seed}.every.300.json").read_text())["unrounded"][MSE]
            print(f"{arm} seed {seed}: held out {[round(v, 4) for _, v in points]}, all 401 steps {every:.4f}, "
                  f"last training loss {smooth[-1]:.2e}")
    left.set(xlabel="optimiser step", ylabel=f"training loss, mean of {window} steps")
    right.set(xlabel="optimiser step", ylabel="sample_mse of the held-out episode", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(fontsize=7)
    figure.savefig(HERE / "enumeration.png", dpi=90)


def main():
    runs = Path(sys.argv[1])
    falling(runs / "one_start.json", runs / "one_out", 1e-3, "One LIBERO episode, over-fitted", "one_episode.png")
    falling(runs / "all_start.json", runs / "all_out", 0.1,
            "An episode that was held out: trained on three, sampled on the fourth", "held_out.png")
    arms(runs)


if __name__ == "__main__":
    main()
