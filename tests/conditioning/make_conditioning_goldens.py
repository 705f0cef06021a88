"""Records what torchvision, Pillow, imgaug and OpenCV make of small pictures.

    python make_conditioning_goldens.py [FOLDER]

Needs torch, torchvision, pillow 10.2, numpy below 2, imgaug 0.4, opencv-python-headless 4.9 and
safetensors. Writes into FOLDER (default: this one)

    pictures.safetensors   pictures `in.N` and results `out.N`, (height, width, 3) bytes
    pictures.json          for each result: its operation, its numbers, its picture
    distributions.json     histograms of noise, and how often what is chosen

The tests of crates/rdt-consumer read them; RDT_CONDITIONING_GOLDENS names another folder. They take
everything from the files, so other seeds, sizes and numbers can be recorded.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

np.bool = np.bool_  # imgaug 0.4 asks for it.
import cv2
import imgaug
import imgaug.augmenters as iaa
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms import functional

SEED = 7


def pictures(rng):
    """Noise, smooth colours, few flat colours; one smaller than the largest blur."""
    noise = rng.integers(0, 256, (19, 26, 3))
    rows, columns = np.mgrid[0:31, 0:42]
    smooth = np.stack([rows * 8, columns * 6, 255 - (rows + columns) * 3], axis=-1)
    flat = rng.integers(0, 256, (4, 3, 3)).repeat(6, axis=0).repeat(9, axis=1)
    small = rng.integers(0, 256, (5, 3, 3))
    return [np.clip(p, 0, 255).astype(np.uint8) for p in (noise, smooth, flat, small)]


def on_pil(function, *numbers):
    return lambda picture: np.asarray(function(Image.fromarray(picture), *numbers))


def on_imgaug(augmenter):
    return lambda picture: augmenter.augment_image(picture.copy())


def cases():
    for factor in (0.0, 0.6, 0.713, 0.999, 1.0, 1.2345, 1.5, 1.75):
        yield "brightness", [factor], on_pil(functional.adjust_brightness, factor)
        yield "contrast", [factor], on_pil(functional.adjust_contrast, factor)
        yield "saturation", [factor], on_pil(functional.adjust_saturation, factor)
    for turn in (-0.5, -0.03, -0.0101, 0.0, 0.001, 0.013, 0.03, 0.25):
        yield "hue", [turn], on_pil(functional.adjust_hue, turn)
    for sigma in (0.0005, 0.002, 0.3, 0.8, 1.5, 1.9, 2.2, 2.6, 2.99):
        yield "gaussian", [sigma], on_imgaug(iaa.GaussianBlur(sigma))
    for side in range(2, 8):
        yield "average", [side], on_imgaug(iaa.AverageBlur(side))
    for side in range(3, 12, 2):
        yield "median", [side], on_imgaug(iaa.MedianBlur(side))
    for side, angle, direction in (
        (3, 0.0, 0.0), (3, 90.0, -1.0), (5, 33.3, 0.5), (9, 123.4, 1.0), (15, 300.1, -0.25),
        (27, 45.0, 0.0), (37, 12.7, 0.9), (37, 271.0, -0.6),
    ):
        motion = iaa.MotionBlur(k=side, angle=angle, direction=direction)
        # imgaug draws 32-bit floats.
        yield "motion", [side, angle, (float(np.float32(direction)) + 1) / 2], on_imgaug(motion)


def record_pictures(folder, rng):
    tensors, listed = {}, []
    inputs = pictures(rng)
    for number, picture in enumerate(inputs):
        tensors[f"in.{number}"] = picture
    for operation, numbers, function in cases():
        for number, picture in enumerate(inputs):
            out = f"out.{len(listed)}"
            tensors[out] = np.ascontiguousarray(function(picture))
            listed.append({"operation": operation, "numbers": numbers, "in": f"in.{number}", "out": out})
    save_file(tensors, folder / "pictures.safetensors")
    (folder / "pictures.safetensors").chmod(0o644)
    (folder / "pictures.json").write_text("[\n" + ",\n".join(map(json.dumps, listed)) + "\n]\n")


def histograms():
    """Of the noise on a picture of one middle level, channel by channel."""
    middle = np.full((1000, 1000, 3), 128, dtype=np.uint8)
    for law, severity, augmenter in (
        [("gaussian", s, iaa.AdditiveGaussianNoise(scale=s, per_channel=True)) for s in (0.4, 3.0, 12.7)]
        + [("laplace", s, iaa.AdditiveLaplaceNoise(scale=s, per_channel=True)) for s in (0.4, 3.0, 12.7)]
        + [("poisson", s, iaa.AdditivePoissonNoise(lam=s, per_channel=True)) for s in (0.4, 3.0, 12.7)]
    ):
        levels = augmenter.augment_image(middle).astype(int) - 128
        counts = Counter(levels.ravel().tolist())
        yield {"law": law, "severity": severity, "counts": sorted(counts.items())}


def choices(runs):
    """How often RDT's sequence does what: `noise`, `blur`, both in which order, sides of blurs."""
    log = []

    def logged(owner, name, what):
        original = getattr(owner, name)

        def wrapper(*args, **kwargs):
            log.append(what(*args, **kwargs))
            return original(*args, **kwargs)

        setattr(owner, name, wrapper)

    logged(cv2, "GaussianBlur", lambda image, size, **_: ("gaussian", size[0]))
    logged(cv2, "blur", lambda image, size: ("average", size[0]))
    logged(cv2, "medianBlur", lambda image, size: ("median", size))
    logged(cv2, "filter2D", lambda image, depth, matrix: ("motion", matrix.shape[0]))
    logged(imgaug.parameters.Normal, "_draw_samples", lambda self, size, random_state: ("Gaussian", size[2]))
    logged(imgaug.parameters.Laplace, "_draw_samples", lambda self, size, random_state: ("Laplace", size[2]))
    logged(imgaug.parameters.Poisson, "_draw_samples", lambda self, size, random_state: ("Poisson", size[2]))

    # The numbers of RDT's train/image_corrupt.py.
    most = 0.05 * 255
    noises = [
        iaa.AdditiveGaussianNoise(loc=0, scale=(0.0, most), per_channel=0.5),
        iaa.AdditiveLaplaceNoise(scale=(0.0, most), per_channel=0.5),
        iaa.AdditivePoissonNoise(lam=(0.0, most), per_channel=0.5),
    ]
    still = iaa.OneOf([iaa.GaussianBlur((0, 3.0)), iaa.AverageBlur(k=(2, 7)), iaa.MedianBlur(k=(3, 11))])
    blur = iaa.SomeOf((0, 1), [still, iaa.MotionBlur(k=(3, 36))])
    sequence = iaa.Sequential([iaa.OneOf(noises), blur], random_order=True)
    picture = np.full((2, 2, 3), 128, dtype=np.uint8)
    counts = Counter()
    for _ in range(runs):
        log.clear()
        sequence(images=picture[None])
        # Motion blur filters the channels one by one.
        events = list(dict.fromkeys(log))
        noise = next(event for event in events if event[0][0].isupper())
        blurs = [event for event in events if event[0][0].islower()]
        counts[f"noise {noise[0].lower()}"] += 1
        counts["noise per channel"] += noise[1] == 3
        if blurs:
            counts["blurred"] += 1
            counts["noise first of the blurred"] += events[0] == noise
            counts[f"blur {blurs[0][0]} {blurs[0][1]}"] += 1
    return {"runs": runs, "counts": dict(sorted(counts.items()))}


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    folder.mkdir(parents=True, exist_ok=True)
    imgaug.seed(SEED)
    record_pictures(folder, np.random.default_rng(SEED))
    noise = ",\n".join("  " + json.dumps(entry) for entry in histograms())
    text = f'{{"noise": [\n{noise}\n ],\n "choices": {json.dumps(choices(20_000))}\n}}\n'
    (folder / "distributions.json").write_text(text)


main()
