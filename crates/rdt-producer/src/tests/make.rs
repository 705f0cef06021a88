//! Small HDF5 data sets and the options to fill from them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rdt_buffer::{Buffer, ChunkId};
use rdt_schema::Config;

use crate::*;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

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

/// A folder with a card and a data set, and where buffers may go.
pub(crate) struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir_all(folder.path().join("data"))?;
        fs::write(folder.path().join("card.yaml"), CARD)?;
        Ok(Self { folder })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of episodes with these numbers of steps.
    pub(crate) fn episodes(&self, file: &str, steps: &[usize]) -> Result {
        let path = self.path("data").join(file);
        let hdf5 = hdf5::File::create(&path)?;
        let data = hdf5.create_group("data")?;
        for (index, &steps) in steps.iter().enumerate() {
            let group = data.create_group(&format!("demo_{index}"))?;
            let rows: Vec<f64> = (0..3 * steps).map(|i| (i * (index + 7)) as f64 * 0.01).collect();
            group.new_dataset::<f64>().shape((steps, 3)).create("pos")?.write_raw(&rows)?;
            let pixels: Vec<u8> = (0..steps * 8 * 8 * 3).map(|i| (i * 31 + i / 192 + index) as u8).collect();
            let rgb = group.new_dataset::<u8>().shape((steps, 8, 8, 3)).chunk((1, 8, 8, 3)).deflate(1);
            rgb.create("rgb")?.write_raw(&pixels)?;
        }
        Ok(())
    }

    pub(crate) fn options(&self, chunk_size: u32, workers: usize) -> Result<Options> {
        let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/base.yaml"))?;
        let config = Config::from_text(&text, "base.yaml".as_ref())?;
        let card = self.path("card.yaml");
        let spec = format!("toy:{}={}", card.display(), self.path("data").display());
        let mut options = Options::new(vec![DatasetSpec::parse(&spec)?], config, "base.yaml".into(), text);
        options.chunk_size = chunk_size;
        options.workers = NonZeroUsize::new(workers).ok_or("no workers")?;
        Ok(options)
    }
}

/// Fills without being watched.
pub(crate) fn fill_quietly(options: &Options, dir: &Path) -> std::result::Result<FillReport, ProducerError> {
    fill(options, dir, &StopFlag::default(), &|_| {})
}

/// All files of a buffer's chunk and bits folders, and nothing in its folder of temporary files.
pub(crate) fn files_of(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    assert_eq!(fs::read_dir(dir.join("tmp"))?.count(), 0, "temporary files are left");
    let mut files = BTreeMap::new();
    for folder in ["chunks", "bits"] {
        for entry in fs::read_dir(dir.join(folder))? {
            let path = entry?.path();
            files.insert(path.file_name().unwrap_or_default().to_string_lossy().into(), fs::read(&path)?);
        }
    }
    Ok(files)
}

/// (file, key, step) of every sample, in the order of the ids; every chunk is verified.
pub(crate) fn samples_of(dir: &Path) -> Result<Vec<(String, String, u32)>> {
    let buffer = Buffer::open_complete(dir)?;
    let mut samples = Vec::new();
    for id in 0..buffer.chunk_count() as u32 {
        let chunk = buffer.chunk(ChunkId::new(id))?;
        chunk.verify()?;
        for slot in 0..chunk.header().samples {
            let sample = chunk.sample(slot)?;
            let origin = sample.episode().origin.clone();
            samples.push((origin.source, origin.key, sample.step()));
        }
    }
    assert_eq!(samples.len() as u64, buffer.sample_count());
    Ok(samples)
}
