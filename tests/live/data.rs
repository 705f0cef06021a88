//! A data set whose samples say which they are: the state of step t of episode e of file f is
//! (100 f + e, t, 0), and every byte of its frame is a function of these.

use std::fs;
use std::path::{Path, PathBuf};

/// Its card.
const CARD: &str = "
control_freq: 20
files: '*.hdf5'
episodes: data/demo_*
state:
  - array: pos
    to: right_eef_pos_{x,y,z}
window:
  actions: next_state
filter:
  min_steps: 3
cameras:
  external:
    array: rgb
instruction:
  from:
    - text: Stack the cubes.
";

/// Rows and columns of a frame.
const SIDE: usize = 8;
/// Episodes of a file.
const EPISODES: usize = 5;

/// The byte that the frame of a step is made of.
pub(super) fn level(episode: usize, step: usize) -> u8 {
    (episode * 37 + step * 11) as u8
}

/// Steps of an episode.
pub(super) fn steps(episode: usize) -> usize {
    20 + (episode * 13) % 60
}

/// Writes `files` files and the card into `folder`; returns the arguments that name them.
pub(super) fn write(folder: &Path, name: &str, files: usize) -> String {
    let data = folder.join(name);
    fs::create_dir_all(&data).expect("a folder");
    let card = folder.join("card.yaml");
    fs::write(&card, CARD).expect("a card");
    for file in 0..files {
        write_file(&data, file).expect("an HDF5 file");
    }
    format!("{name}:{}={}", card.display(), data.display())
}

fn write_file(data: &Path, file: usize) -> hdf5::Result<PathBuf> {
    let path = data.join(format!("{file:03}.hdf5"));
    let hdf5 = crate::support::hdf5_files().create(&path)?;
    let group = hdf5.create_group("data")?;
    for index in 0..EPISODES {
        let episode = 100 * file + index;
        let steps = steps(episode);
        let demo = group.create_group(&format!("demo_{index}"))?;
        let rows: Vec<f64> = (0..steps).flat_map(|t| [episode as f64, t as f64, 0.0]).collect();
        demo.new_dataset::<f64>().shape((steps, 3)).create("pos")?.write_raw(&rows)?;
        let pixels: Vec<u8> =
            (0..steps).flat_map(|t| std::iter::repeat_n(level(episode, t), SIDE * SIDE * 3)).collect();
        demo.new_dataset::<u8>().shape((steps, SIDE, SIDE, 3)).create("rgb")?.write_raw(&pixels)?;
    }
    Ok(path)
}

/// The number of the episode that a sample names.
pub(super) fn episode(source: &str, key: &str) -> usize {
    let number = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>().parse::<usize>();
    let file = number(source.strip_suffix(".hdf5").expect("an HDF5 file")).expect("a number");
    100 * file + number(key).expect("a number")
}
