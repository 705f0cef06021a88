#!/usr/bin/env python3
"""Our loader beside others: the same episodes, the same tensors, the same cores, in one run.

    python benches/compare/compare.py --bin target/release --episodes libero=DIR --episodes agilex=DIR \
        --work SCRATCH [--rdt CHECKOUT] [--samples 2000] [--pixel-samples 256] [--rounds 3] [--workers 2]

The Python needs numpy, h5py and torch; webdataset, mosaicml-streaming and lerobot (>= 0.4) are compared where
they import, and named where they do not. RDT's own consumer needs a checkout of
thu-ml/RoboticsDiffusionTransformer and what it imports. Everything is written below --work and kept there.

What is compared. One sample is two frames of each camera as u8, the last state and 64 actions, 128 wide with
masks. Stage `frames` ends there; stage `pixel` pads the frames of all three camera slots to a square, resizes
them to 384 x 384 (Pillow's bicubic, as RDT), and delivers u8: normalising is two operations on a whole batch
wherever it is trained on. RDT's own code alone normalises to f32, sample by sample; it cannot be asked not to.
Batches of 32 are collated.

How. Each loader runs in a process of its own, by turns, --rounds times; the report has medians and the range.
CPU time is user + system of that process and all its workers, from the third batch to the last, so that starting
up is not counted and the work in flight is the same at both ends. Files are in the page cache.

Settings. Each is given what its users would give it for speed, lossless where the source is: raw frames are
kept raw by WebDataset (.npy in tar) and MDS (ndarray, no compression), JPEG is kept as JPEG and decoded by
OpenCV; LeRobot has H.264 video (its own default, AV1, decodes slower), read by torchcodec, and is not lossless. Actions are stored by
column, not 128 wide. The PyTorch Dataset keeps its HDF5 files open and reads only what it needs. Each
shuffles as well as it can: see MIXING.
"""
import argparse
import glob
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

BATCH, HISTORY, ACTIONS, WIDTH, SIDE, WARM_UP = 32, 2, 64, 128, 384, 2
CAMERAS = {"libero": ["agentview_rgb", "eye_in_hand_rgb"], "agilex": ["cam_high", "cam_right_wrist", "cam_left_wrist"]}
# Which row of `rdt-buf mixing` (docs/mixing.md) is the shuffle that is run here.
MIXING = {
    "ours": "ours, uniform", "ours-raw": "ours, uniform", "ours-windowed": "ours, windowed, 64 chunks",
    "rdt": "randperm (each sample once, then it waits for a producer)", "hdf5": "randperm", "lerobot": "randperm", "mds": "MosaicML py1e",
    "webdataset": "WebDataset, here a buffer of 5000",
}


def cpu(processes):
    """User and system seconds so far of the processes, all threads."""
    total = 0
    for process in processes:
        with open(f"/proc/{process}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def columns(dataset):
    """The active columns of state and action: any of the right number cost the same."""
    return list(range(30, 40)) if dataset == "libero" else list(range(0, 7)) + list(range(50, 57))


class Episodes:
    """The HDF5 files of a data set, opened once a process."""

    def __init__(self, dataset, root):
        import h5py
        self.dataset, self.open, self.list = dataset, {}, []
        for path in sorted(glob.glob(root + "/**/*.hdf5", recursive=True)):
            with h5py.File(path, "r") as file:
                if dataset == "libero":
                    for key in sorted(file["data"], key=lambda k: int(k.split("_")[1])):
                        self.list.append((path, f"data/{key}", file[f"data/{key}/actions"].shape[0]))
                elif "observations/images/cam_right_wrist" in file:
                    self.list.append((path, "", file["action"].shape[0]))
        self.steps = [(e, t) for e, (_, _, n) in enumerate(self.list) for t in range(n)]

    def group(self, episode):
        import h5py
        path, key, _ = self.list[episode]
        if path not in self.open:
            self.open[path] = h5py.File(path, "r")
        return self.open[path][key] if key else self.open[path]

    def rows(self, episode, t):
        """The last state and the actions ahead, padded with the last, by active column."""
        import numpy as np
        g, n = self.group(episode), self.list[episode][2]
        if self.dataset == "libero":
            state = np.concatenate([g["obs/ee_pos"][t], g["obs/ee_ori"][t], g["obs/gripper_states"][t], [0, 0]])
            actions = g["actions"][t:t + ACTIONS]
            actions = np.pad(actions, ((0, 0), (0, 3)))
        else:
            state, actions = g["observations/qpos"][t], g["action"][t:t + ACTIONS]
        actions = np.pad(actions, ((0, ACTIONS - len(actions)), (0, 0)), mode="edge")
        return state.astype("f4"), actions.astype("f4"), min(ACTIONS, n - t)

    def stored(self, episode, t, camera):
        """A frame as it is stored: an array, or JPEG bytes."""
        import numpy as np
        g = self.group(episode)
        if self.dataset == "libero":
            return g[f"obs/{camera}"][t]
        return np.frombuffer(bytes(g[f"observations/images/{camera}"][t]), "u1")

    def frames(self, episode, t):
        return {f"{c}.{h}": self.stored(episode, max(t + h + 1 - HISTORY, 0), c) for c in CAMERAS[self.dataset] for h in range(HISTORY)}


def decode(dataset, array):
    if dataset == "libero":
        return array[::-1]
    import cv2
    return cv2.imdecode(array, cv2.IMREAD_COLOR)


def finish(dataset, stage, frames, state, actions, count):
    """The tensors of a sample from stored frames and rows; the same for all but RDT and us."""
    import numpy as np
    images = [np.ascontiguousarray(decode(dataset, f)) if f.ndim == 1 or dataset == "libero" else f for f in frames]
    if stage == "pixel":
        images = pixels(images)
    cols = columns(dataset)
    full_state, mask = np.zeros((1, WIDTH), "f4"), np.zeros(WIDTH, "f4")
    full_actions, time_mask = np.zeros((ACTIONS, WIDTH), "f4"), np.zeros(ACTIONS, "u1")
    full_state[0, cols], mask[cols], full_actions[:, cols], time_mask[:count] = state, 1, actions, 1
    return images, full_state, mask, full_actions, time_mask


def pixels(images):
    import numpy as np
    from PIL import Image
    out = []
    for image in images:
        h, w = image.shape[:2]
        if h != w:
            square = np.full((max(h, w),) * 2 + (3,), 127, "u1")
            top, left = (max(h, w) - h) // 2, (max(h, w) - w) // 2
            square[top:top + h, left:left + w] = image
            image = square
        image = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.BICUBIC))
        out.append(image.transpose(2, 0, 1))
    background = np.full((3, SIDE, SIDE), 127, "u1")
    return out + [background] * (3 * HISTORY - len(out))


def collate(samples):
    import numpy as np, torch
    images = [[torch.from_numpy(np.ascontiguousarray(i)) for i in s[0]] for s in samples]
    images = [torch.stack([s[k] for s in images]) for k in range(len(images[0]))]
    return images, *(torch.from_numpy(np.stack([s[k] for s in samples])) for k in range(1, 5))


def convert(name, dataset, root, to):
    """Writes a peer's format, once."""
    import numpy as np
    done = to + "/.done"
    if os.path.exists(done):
        return
    shutil.rmtree(to, ignore_errors=True)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    episodes = Episodes(dataset, root)
    if name == "webdataset":
        import webdataset
        os.makedirs(to)
        with webdataset.ShardWriter(to + "/%05d.tar", maxcount=512, verbose=0) as out:
            for at, (e, t) in enumerate(episodes.steps):
                state, actions, count = episodes.rows(e, t)
                sample = {"__key__": f"{at:08}", "state.npy": state, "actions.npy": actions, "count.npy": np.array(count)}
                for key, frame in episodes.frames(e, t).items():
                    sample[key.replace(".", "_") + (".npy" if frame.ndim > 1 else ".jpg")] = frame if frame.ndim > 1 else frame.tobytes()
                out.write(sample)
    elif name == "mds":
        from streaming import MDSWriter
        first = episodes.frames(*episodes.steps[0])
        kinds = {k.replace(".", "_"): "ndarray:uint8" if f.ndim > 1 else "bytes" for k, f in first.items()}
        with MDSWriter(out=to, columns={**kinds, "state": "ndarray:float32", "actions": "ndarray:float32", "count": "int"}) as out:
            for e, t in episodes.steps:
                state, actions, count = episodes.rows(e, t)
                frames = {k.replace(".", "_"): f if f.ndim > 1 else f.tobytes() for k, f in episodes.frames(e, t).items()}
                out.write({**frames, "state": state, "actions": actions, "count": count})
    elif name == "lerobot":
        from lerobot.datasets.lerobot_dataset import LeRobotDataset
        h, w = decode(dataset, episodes.stored(0, 0, CAMERAS[dataset][0])).shape[:2]
        video = {"dtype": "video", "shape": (h, w, 3), "names": ["height", "width", "channels"]}
        n = len(columns(dataset))
        row = {"dtype": "float32", "shape": (n,), "names": None}
        features = {**{f"observation.images.{c}": video for c in CAMERAS[dataset]}, "observation.state": row, "action": row}
        out = LeRobotDataset.create("compare/x", fps=20, features=features, root=to, vcodec="h264", image_writer_threads=2)
        for e, (_, _, steps) in enumerate(episodes.list):
            for t in range(steps):
                state, actions, _ = episodes.rows(e, t)
                frame = {f"observation.images.{c}": np.ascontiguousarray(decode(dataset, episodes.stored(e, t, c))) for c in CAMERAS[dataset]}
                out.add_frame({**frame, "observation.state": state, "action": actions[0], "task": "x"})
            out.save_episode()
        out.finalize()
    open(done, "w").close()


def torch_loader(name, dataset, stage, root, at, workers):
    """A DataLoader of a peer, with the shuffle it is best at."""
    import numpy as np, torch
    torch.set_num_threads(1)
    more = dict(num_workers=workers, collate_fn=collate, persistent_workers=workers > 0, prefetch_factor=2 if workers else None)
    names = [f"{c}_{h}" for c in CAMERAS[dataset] for h in range(HISTORY)]
    if name == "hdf5":
        class Straight(torch.utils.data.Dataset):
            def __init__(self):
                self.episodes = Episodes(dataset, root)
            def __len__(self):
                return len(self.episodes.steps)
            def __getitem__(self, index):
                e, t = self.episodes.steps[index]
                return finish(dataset, stage, list(self.episodes.frames(e, t).values()), *self.episodes.rows(e, t))
        return torch.utils.data.DataLoader(Straight(), batch_size=BATCH, shuffle=True, drop_last=True, **more)
    if name == "webdataset":
        import webdataset
        def sample(s):
            frames = [np.lib.format.read_array(io.BytesIO(s[k + ".npy"])) if k + ".npy" in s else np.frombuffer(s[k + ".jpg"], "u1") for k in names]
            row = lambda k: np.lib.format.read_array(io.BytesIO(s[k + ".npy"]))
            return finish(dataset, stage, frames, row("state"), row("actions"), int(row("count")))
        shards = sorted(glob.glob(at + "/*.tar"))
        data = webdataset.WebDataset(shards, shardshuffle=len(shards), nodesplitter=webdataset.split_by_node, empty_check=False, seed=1)
        data = data.shuffle(5000).map(sample)
        return torch.utils.data.DataLoader(data, batch_size=BATCH, drop_last=True, **more)
    if name == "mds":
        from streaming import StreamingDataset
        class Mds(StreamingDataset):
            def __getitem__(self, index):
                s = super().__getitem__(index)
                frames = [s[k] if isinstance(s[k], np.ndarray) else np.frombuffer(s[k], "u1") for k in names]
                return finish(dataset, stage, frames, s["state"], s["actions"], s["count"])
        data = Mds(local=at, shuffle=True, shuffle_algo="py1e", batch_size=BATCH, num_canonical_nodes=1)
        return torch.utils.data.DataLoader(data, batch_size=BATCH, drop_last=True, **more)
    if name == "lerobot":
        from lerobot.datasets.lerobot_dataset import LeRobotDataset
        keys = [f"observation.images.{c}" for c in CAMERAS[dataset]]
        times = {**{k: [-0.05, 0.0] for k in keys}, "action": [i / 20 for i in range(ACTIONS)]}
        data = LeRobotDataset("compare/x", root=at, delta_timestamps=times, video_backend="torchcodec")
        class Wrapped(torch.utils.data.Dataset):
            def __len__(self):
                return len(data)
            def __getitem__(self, index):
                s = data[index]
                frames = [(s[k][h] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy() for k in keys for h in range(HISTORY)]
                count = ACTIONS - int(s["action_is_pad"].sum())
                flip = [f[::-1] for f in frames] if dataset == "libero" else frames
                return finish(dataset, stage, flip, s["observation.state"].numpy(), s["action"].numpy(), count)
        return torch.utils.data.DataLoader(Wrapped(), batch_size=BATCH, shuffle=True, drop_last=True, **more)
    if name == "rdt":
        return rdt_loader(stage, more)
    raise SystemExit(f"no loader {name}")


def rdt_loader(stage, more):
    """RDT's own consumer on its own buffer (`rdt-buf export --format rdt`), unchanged; the tokenizer, which needs a
    download, gives eight numbers."""
    import types, numpy, yaml, torch
    import train.dataset as rdt
    from transformers import SiglipImageProcessor
    class Tokenizer:
        pad_token_id = 0
        def __call__(self, text, **_):
            return types.SimpleNamespace(input_ids=torch.arange(1, 9)[None])
    processor = SiglipImageProcessor(do_resize=True, size={"height": SIDE, "width": SIDE}, resample=3, do_rescale=True,
                                     rescale_factor=1 / 255, do_normalize=True, image_mean=[.5] * 3, image_std=[.5] * 3)
    config = yaml.safe_load(open("configs/base.yaml"))["dataset"]
    data = rdt.VLAConsumerDataset(config=config, tokenizer=Tokenizer(), image_processor=processor, num_cameras=3,
                                  img_history_size=HISTORY, image_aug=False, dataset_type="finetune", cond_mask_prob=0.1,
                                  cam_ext_mask_prob=-1.0, state_noise_snr=None)
    count = config["buf_num_chunks"] * config["buf_chunk_size"]
    class Part(torch.utils.data.Dataset):
        def __len__(self):
            return count
        def __getitem__(self, index):
            if stage == "frames":
                return [torch.from_numpy(numpy.ascontiguousarray(a)) for a in data._safe_load(index)[1:] if isinstance(a, numpy.ndarray)]
            return data[index]
    more["collate_fn"] = (lambda b: [torch.stack(x) for x in zip(*b)]) if stage == "frames" else rdt.DataCollatorForVLAConsumerDataset(Tokenizer())
    return torch.utils.data.DataLoader(Part(), batch_size=BATCH, shuffle=True, drop_last=True, **more)


def run_peer(args):
    """In a process of its own: loads so many samples, prints one line of JSON."""
    import torch  # noqa: F401  imports are not counted
    __import__({"webdataset": "webdataset", "mds": "streaming", "hdf5": "h5py", "rdt": "h5py",
                "lerobot": "lerobot.datasets.lerobot_dataset"}[args.name])
    if args.name == "rdt":
        os.chdir(args.at)
        sys.path.insert(0, os.environ["RDT_DIR"])
        __import__("train.dataset"), __import__("transformers").SiglipImageProcessor
    if args.name == "mds":
        __import__("streaming").base.util.clean_stale_shared_memory()
    start, batches = time.perf_counter(), 0
    loader = torch_loader(args.name, args.dataset, args.stage, args.root, args.at, args.workers)
    wanted = args.samples // BATCH + WARM_UP
    if args.name == "rdt":
        # It marks each sample it reads, and would wait for a producer once all are; they are unmarked before.
        import numpy
        for bits in glob.glob("chunk_*/dirty_bit"):
            size = os.path.getsize(bits)
            numpy.zeros(size, "u1").tofile(bits)
        wanted = min(wanted, len(loader))
    while batches < wanted:
        for _ in loader:
            batches += 1
            if batches == 1:
                first = time.perf_counter() - start
            if batches in (WARM_UP, wanted):
                workers = getattr(loader._iterator, "_workers", [])
                now = cpu([os.getpid(), *(worker.pid for worker in workers)]), time.perf_counter()
                began = now if batches == WARM_UP else began
            if batches == wanted:
                break
    seen = (wanted - WARM_UP) * BATCH
    print(json.dumps({"cpu_ms": (now[0] - began[0]) / seen * 1e3, "samples_per_s": seen / (now[1] - began[1]), "first_batch_ms": first * 1e3}), flush=True)
    os._exit(0)  # what workers still do is of no interest


def run_ours(args, buffer, stage, samples, more):
    out = subprocess.run([f"{args.bin}/rdt-consume", "bench", "--buffer", buffer, "--stage", stage, "--workers", str(args.workers),
                          "--batch-size", str(BATCH), "--samples", str(samples), "--json", *more], capture_output=True, text=True, check=True)
    report = json.loads(out.stdout)
    return {"cpu_ms": report["cpu_ms_per_sample"], "samples_per_s": report["samples_per_s"], "first_batch_ms": report["first_batch_ms"]}


def prepare(args, dataset, root):
    """Our buffers and, from one of them, RDT's; says where each loader's data is."""
    at = {}
    for name, more in [("ours", []), ("ours-raw", ["--image-codec", "raw"])]:
        at[name] = f"{args.work}/{dataset}/{name}"
        subprocess.run([f"{args.bin}/rdt-produce", "--fill-up", "--dataset", f"{dataset}={root}", "--buffer", at[name],
                        "--chunk-size", "256", *more], check=True, capture_output=True)
    at["ours-windowed"] = at["ours"]
    if args.rdt:
        at["rdt"] = f"{args.work}/{dataset}/rdt"
        if not os.path.exists(at["rdt"] + "/configs/base.yaml"):
            shutil.rmtree(at["rdt"], ignore_errors=True)
            subprocess.run([f"{args.bin}/rdt-buf", "export", at["ours"], "--format", "rdt", "--out", at["rdt"]], check=True, capture_output=True)
            import yaml
            config = yaml.safe_load(open(args.rdt + "/configs/base.yaml"))
            held = json.loads(subprocess.run([f"{args.bin}/rdt-buf", "stat", at["ours"], "--json"], capture_output=True, text=True).stdout)
            # Its consumer takes chunks for full: the incomplete last one stays out.
            config["dataset"].update(buf_path=at["rdt"], buf_num_chunks=held["samples"] // 256, buf_chunk_size=256)
            yaml.safe_dump(config, open(at["rdt"] + "/configs/base.yaml", "w"))
            for file in glob.glob(args.rdt + "/configs/*.json"):
                there = at["rdt"] + "/configs/" + os.path.basename(file)
                if not os.path.exists(there):
                    shutil.copy(file, there)
    return at


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin"), parser.add_argument("--work"), parser.add_argument("--rdt")
    parser.add_argument("--episodes", action="append", default=[], metavar="libero|agilex=DIR")
    parser.add_argument("--samples", type=int, default=2000), parser.add_argument("--pixel-samples", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3), parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", help="names, with commas between")
    for hidden in ["--name", "--dataset", "--stage", "--root", "--at"]:
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.name:
        return run_peer(args)
    args.work = os.path.abspath(args.work)
    absent, results = {}, {}
    for given in args.episodes:
        dataset, root = given.split("=", 1)
        root = os.path.abspath(root)
        at = prepare(args, dataset, root)
        for name in ["hdf5", "webdataset", "mds", "lerobot"]:
            at[name] = f"{args.work}/{dataset}/{name}"
            try:
                if name != "hdf5":
                    convert(name, dataset, root, at[name])
            except Exception as error:  # what does not install or write is named in the report
                absent[f"{dataset} {name}"] = f"{type(error).__name__}: {error}"
                del at[name]
        only = args.only.split(",") if args.only else list(at)
        for stage, samples in [("frames", args.samples), ("pixel", args.pixel_samples)]:
            for _ in range(args.rounds):
                for name in [n for n in at if n in only]:
                    try:
                        if name.startswith("ours"):
                            more = ["--order", "windowed"] if name == "ours-windowed" else []
                            found = run_ours(args, at[name], stage, samples, more)
                        else:
                            environment = {**os.environ, "RDT_DIR": args.rdt or "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
                            out = subprocess.run([sys.executable, os.path.abspath(__file__), "--name", name, "--dataset", dataset, "--stage", stage,
                                                  "--root", root, "--at", at[name], "--samples", str(samples), "--workers", str(args.workers)],
                                                 capture_output=True, text=True, env=environment, timeout=600)
                            if out.returncode:
                                raise RuntimeError(out.stderr.strip().splitlines()[-1])
                            found = json.loads(out.stdout.strip().splitlines()[-1])
                    except Exception as error:
                        absent[f"{dataset} {stage} {name}"] = f"{type(error).__name__}: {error}"[:300]
                        continue
                    results.setdefault((dataset, stage, name), []).append(found)
                    print(dataset, stage, name, {k: round(v, 3) for k, v in found.items()}, f"load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    report(args, results, absent)


def report(args, results, absent):
    cpu_name = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=os.path.dirname(os.path.abspath(__file__))).stdout.strip()
    print(f"{time.strftime('%Y-%m-%d')}, commit {commit}, {os.cpu_count()} cores ({cpu_name and cpu_name.group(1)}), {args.workers} workers, "
          f"batches of {BATCH}, {args.rounds} rounds, load average at the end {os.getloadavg()[0]:.1f}\n")
    for dataset, stage in dict.fromkeys(key[:2] for key in results):
        print(f"| {dataset}, {stage} | CPU, ms a sample (range) | samples/s (range) | first batch, ms | shuffle |\n|---|---:|---:|---:|---|")
        for name in [key[2] for key in results if key[:2] == (dataset, stage)]:
            runs = results[dataset, stage, name]
            column = lambda key, digits: (lambda v: f"{statistics.median(v):.{digits}f} ({min(v):.{digits}f} to {max(v):.{digits}f})")([r[key] for r in runs])
            print(f"| {name} | {column('cpu_ms', 2)} | {column('samples_per_s', 0)} | {statistics.median([r['first_batch_ms'] for r in runs]):.0f} | {MIXING[name]} |")
        print()
    for what, why in absent.items():
        print(f"- not run: {what}: {why}")


if __name__ == "__main__":
    main()
