//! A small robot data set that tests make and bend: three-dimensional states and actions, one
//! camera. One field of [`Episode`] for each way in which an episode can be wrong.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hdf5::types::{VarLenArray, VarLenUnicode};

use crate::support::{Run, buf, produce};

/// The card of the data set.
pub(crate) const CARD: &str = "
control_freq: 20
files: '*.hdf5'
episodes: data/demo_*
state:
  - array: pos
    to: right_eef_pos_{x,y,z}
action:
  - array: act
    to: right_eef_pos_{x,y,z}
window:
  actions: recorded
  shift: 0
  tail: pad
filter:
  min_steps: 3
cameras:
  external:
    array: rgb
instruction:
  from:
    - array: instruction
";

/// Rows and columns of a raw frame.
const SIDE: usize = 8;

/// How frames are stored.
#[derive(Clone)]
pub(crate) enum Rgb {
    /// Raw pixels, gzip, a frame a chunk.
    Raw,
    /// JPEG of one step each, the same but for these.
    Jpeg(Vec<(usize, Vec<u8>)>),
    /// No such array.
    Absent,
}

/// An episode, right as it is made by default.
#[derive(Clone)]
pub(crate) struct Episode {
    /// Rows of the states.
    pub steps: usize,
    /// Rows of the actions.
    pub action_steps: usize,
    /// Frames.
    pub frames: usize,
    /// Columns of the states.
    pub columns: usize,
    /// Whether there are states at all.
    pub has_states: bool,
    /// (row, column, value) of a state.
    pub bad_state: Option<(usize, usize, f64)>,
    /// (row, column, value) of an action.
    pub bad_action: Option<(usize, usize, f64)>,
    /// What is said about it.
    pub instruction: Option<&'static str>,
    /// Its frames.
    pub rgb: Rgb,
}

impl Episode {
    /// A right episode.
    pub(crate) fn of(steps: usize) -> Self {
        Self {
            steps,
            action_steps: steps,
            frames: steps,
            columns: 3,
            has_states: true,
            bad_state: None,
            bad_action: None,
            instruction: Some("Stack the cubes."),
            rgb: Rgb::Raw,
        }
    }

    fn write(&self, file: &hdf5::File, index: usize) -> hdf5::Result<()> {
        let group = file.create_group(&format!("data/demo_{index}"))?;
        let wave = |row: usize, column: usize| ((row * 3 + column + index * 7) as f64 * 0.1).sin();
        let rows = |steps: usize, columns: usize, bad: Option<(usize, usize, f64)>| -> Vec<f64> {
            let at = (0..steps).flat_map(|row| (0..columns).map(move |column| (row, column)));
            let value = |(row, column)| match bad {
                Some((r, c, value)) if (r, c) == (row, column) => value,
                _ => wave(row, column),
            };
            at.map(value).collect()
        };
        if self.has_states {
            let states = rows(self.steps, self.columns, self.bad_state);
            group.new_dataset::<f64>().shape((self.steps, self.columns)).create("pos")?.write_raw(&states)?;
        }
        let actions = rows(self.action_steps, 3, self.bad_action);
        group.new_dataset::<f64>().shape((self.action_steps, 3)).create("act")?.write_raw(&actions)?;
        match &self.rgb {
            Rgb::Raw => {
                let pixel = |i: usize| (i * 31 + i / 192 * 5 + index) as u8;
                let pixels: Vec<u8> = (0..self.frames * SIDE * SIDE * 3).map(pixel).collect();
                let rgb = group.new_dataset::<u8>().shape((self.frames, SIDE, SIDE, 3));
                rgb.chunk((1, SIDE, SIDE, 3)).deflate(1).create("rgb")?.write_raw(&pixels)?;
            }
            Rgb::Jpeg(others) => {
                let frame = |at: usize| {
                    let other = others.iter().find(|(frame, _)| *frame == at);
                    other.map_or_else(|| jpeg(at), |(_, bytes)| bytes.clone())
                };
                let frames: Vec<VarLenArray<u8>> =
                    (0..self.frames).map(|at| VarLenArray::from_slice(&frame(at))).collect();
                group
                    .new_dataset::<VarLenArray<u8>>()
                    .shape(self.frames)
                    .create("rgb")?
                    .write_raw(&frames)?;
            }
            Rgb::Absent => {}
        }
        if let Some(text) = self.instruction {
            let text: VarLenUnicode = text.parse().map_err(|_| "a text with NUL")?;
            group.new_dataset::<VarLenUnicode>().shape(1).create("instruction")?.write_raw(&[text])?;
        }
        Ok(())
    }
}

/// A whole JPEG of 16 x 16 pixels, another one for each frame.
pub(crate) fn jpeg(frame: usize) -> Vec<u8> {
    let pixels: Vec<u8> = (0..16 * 16 * 3).map(|i| (i * (frame + 3) + i / 48) as u8).collect();
    let image = turbojpeg::Image {
        pixels: &pixels[..],
        width: 16,
        pitch: 48,
        height: 16,
        format: turbojpeg::PixelFormat::RGB,
    };
    turbojpeg::compress(image, 90, turbojpeg::Subsamp::None).expect("a JPEG").to_vec()
}

/// A folder with a card and a data set, and where buffers may go.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A card and no episodes.
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(place.path("data")).expect("a folder");
        fs::write(place.path("card.yaml"), CARD).expect("a card");
        place
    }

    /// A path below the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `data/FILE`.
    pub(crate) fn file(&self, name: &str, episodes: &[Episode]) -> &Self {
        let file = crate::support::hdf5_files().create(self.path("data").join(name)).expect("an HDF5 file");
        for (index, episode) in episodes.iter().enumerate() {
            episode.write(&file, index).expect("an episode");
        }
        self
    }

    /// Overwrites the compressed bytes of one frame: only reading the frame shows it.
    pub(crate) fn corrupt_frame(&self, name: &str, episode: usize, frame: usize) {
        let path = self.path("data").join(name);
        let (at, bytes) = {
            let file = crate::support::hdf5_files().open(&path).expect("an HDF5 file");
            let rgb = file.dataset(&format!("data/demo_{episode}/rgb")).expect("frames");
            let chunk = rgb.chunk_info(frame).expect("a frame");
            (chunk.addr, chunk.size)
        };
        let mut file = fs::OpenOptions::new().write(true).open(&path).expect("the file");
        file.seek(SeekFrom::Start(at)).expect("an offset");
        file.write_all(&vec![0xff; usize::try_from(bytes).expect("a size")]).expect("written");
    }

    /// Fills `buffer` from `data` by `card.yaml`.
    pub(crate) fn fill(&self, buffer: &str, more: &[&str]) -> Run {
        let dataset = format!("robot:{}={}", self.path("card.yaml").display(), self.path("data").display());
        let at = self.path(buffer).display().to_string();
        produce([&["--fill-up", "--dataset", &dataset, "--buffer", &at, "--n-workers", "2"], more].concat())
    }

    /// Runs `rdt-buf` on `buffer`.
    pub(crate) fn buf(&self, command: &str, buffer: &str, more: &[&str]) -> Run {
        let at = self.path(buffer).display().to_string();
        buf([&[command, &at], more].concat())
    }
}

/// Sets `data/FILE` aside from what HDF5 can say: any bytes.
pub(crate) fn write_bytes(place: &Place, name: &str, bytes: &[u8]) {
    fs::write(place.path("data").join(name), bytes).expect("a file");
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
