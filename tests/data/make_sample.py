"""Makes the sample episodes in this folder from a folder that holds the full recordings.

    python make_sample.py SOURCE       (needs h5py and numpy)

SOURCE has libero/gzip and aloha/transfer, see README.md for where those come from. The
output is what is committed; it is only needed again to change the sample.
"""

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

ALOHA_STEPS = 136  # RDT's agilex loader drops episodes under 128 steps


def libero(source: Path, target: Path) -> None:
    """Two whole demonstrations; left out: simulator states and the scene's XML (1 MB)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        data = new.create_group("data")
        for name, value in old["data"].attrs.items():
            if name not in ("bddl_file_content", "env_args"):
                data.attrs[name] = value
        for key in old["data"]:
            demo = data.create_group(key)
            demo.attrs["num_samples"] = old["data"][key].attrs["num_samples"]
            for name in ("actions", "obs", "robot_states"):
                old.copy(old["data"][key][name], demo, name)


def aloha(source: Path, target: Path) -> None:
    """The first steps of a bimanual episode, frames as NUL-padded strings."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name, value in old.attrs.items():
            new.attrs[name] = value
        new["instruction"] = old["instruction"][()]
        new["action"] = old["action"][:ALOHA_STEPS]
        new["observations/qpos"] = old["observations/qpos"][:ALOHA_STEPS]
        for camera, frames in old["observations/images"].items():
            kept = [bytes(frame) for frame in frames[:ALOHA_STEPS]]
            longest = max(len(frame) for frame in kept)
            new[f"observations/images/{camera}"] = np.array(kept, dtype=f"S{longest}")


def main() -> None:
    source, here = Path(sys.argv[1]), Path(__file__).parent
    name = "KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet_demo.hdf5"
    libero(source / "libero/gzip" / name, here / "libero" / name)
    aloha(source / "aloha/transfer/episode_0.hdf5", here / "aloha/transfer/episode_0.hdf5")
    instructions = "expanded_instruction_gpt-4-turbo.json"
    shutil.copyfile(source / "aloha/transfer" / instructions, here / "aloha/transfer" / instructions)


if __name__ == "__main__":
    main()
