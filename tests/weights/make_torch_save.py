#!/usr/bin/env python3
"""Makes the files in this folder: state_dicts saved by PyTorch itself, and the same tensors
as safetensors to compare with.

    pip install torch==2.11.0 safetensors numpy
    python tests/weights/make_torch_save.py [--out DIR] [--seed N]

`forms.bin` has every form that a state_dict takes: f32, bf16, f16, whole numbers, a parameter,
a transposed view, a piece of a larger storage, two tensors on one storage, a scalar, an empty
tensor. `t5_pickled/` is the small T5 of tests/encoders in the form of older downloads:
`pytorch_model.bin` in two pieces with an index.
"""

import argparse
import json
import shutil
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent


def forms():
    whole = torch.randn(4, 6)
    state = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).state_dict()
    state.update(
        OrderedDict(
            bf16=torch.randn(2, 3).bfloat16(),
            f16=torch.randn(3).half(),
            f64=torch.randn(2).double(),
            parameter=torch.nn.Parameter(torch.randn(5)),
            transposed=torch.randn(2, 3).t(),
            piece=whole[1:3, 2:5],
            whole=whole,
            scalar=torch.tensor(1.5),
            empty=torch.zeros(0, 4),
        )
    )
    return state


def t5(source, out):
    out.mkdir(exist_ok=True)
    tensors = load_file(source / "model.safetensors")
    names = list(tensors)
    parts = [names[: len(names) // 2], names[len(names) // 2 :]]
    index = {}
    for number, part in enumerate(parts, 1):
        file = f"pytorch_model-{number:05}-of-{len(parts):05}.bin"
        torch.save({name: tensors[name] for name in part}, out / file)
        index.update((name, file) for name in part)
    text = json.dumps({"metadata": {}, "weight_map": index}, indent=1)
    (out / "pytorch_model.bin.index.json").write_text(text + "\n")
    for name in ("config.json", "spiece.model"):
        shutil.copy(source / name, out / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    state = forms()
    torch.save(state, args.out / "forms.bin")
    same = {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}
    save_file(same, args.out / "forms.safetensors")
    t5(HERE.parent / "encoders/t5_whole", args.out / "t5_pickled")


if __name__ == "__main__":
    main()
