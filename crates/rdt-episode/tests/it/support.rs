//! Where recordings and sample episodes are, and the configuration that tests run under.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rdt_episode::{Dataset, Episode, EpisodeError, Verdict};
use rdt_schema::{ChannelOrder, Config, DatasetCard, Flip, FrameEncoding, FrameForm};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sample episodes of the repository.
pub(crate) fn sample_data(below: &str) -> PathBuf {
    repository().join("tests/data").join(below)
}

/// Where the recordings of RDT's own code are.
pub(crate) fn golden_folder() -> PathBuf {
    std::env::var_os("RDT_GOLDENS").map_or(repository().join("tests/goldens"), PathBuf::from)
}

/// A recording of RDT's own code.
pub(crate) fn golden(name: &str) -> PathBuf {
    golden_folder().join(name)
}

pub(crate) fn golden_json(name: &str) -> Result<Value, Box<dyn std::error::Error>> {
    Ok(serde_json::from_str(&std::fs::read_to_string(golden(name))?)?)
}

/// `configs/base.yaml`, with other window sizes.
pub(crate) fn config(chunk: u16, history: u8) -> Config {
    let path = repository().join("configs/base.yaml");
    let mut config = Config::from_file(&path).expect("configs/base.yaml is valid");
    config.common.action_chunk_size = chunk;
    config.common.img_history_size = history;
    config
}

/// A shipped card with some of its lines replaced; each must be there.
pub(crate) fn changed_card(name: &str, changes: &[(&str, &str)]) -> DatasetCard {
    let mut text =
        DatasetCard::find(name, Some(&repository().join("configs"))).expect(name).text().to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no {from:?}");
        text = text.replace(from, to);
    }
    DatasetCard::from_text(&text, &PathBuf::from(format!("configs/datasets/{name}.yaml"))).expect(name)
}

pub(crate) fn card(name: &str) -> DatasetCard {
    changed_card(name, &[])
}

/// The agilex card with its "buffer form" lines in force: each replaces the line of the same key
/// above it, as the card's comments tell a person to do.
pub(crate) fn agilex_buffer_form() -> DatasetCard {
    let shipped = card("agilex");
    let mut lines: Vec<String> = Vec::new();
    for line in shipped.text().lines() {
        let setting = line.trim_start().strip_prefix("# ");
        let Some(setting) = setting.filter(|text| text.contains("# buffer form")) else {
            lines.push(line.to_owned());
            continue;
        };
        let key = setting.split(':').next().expect("a key");
        let before = lines.iter().rposition(|line| line.trim_start().starts_with(&format!("{key}:")));
        let indent = &line[..line.len() - line.trim_start().len()];
        lines[before.expect(key)] = format!("{indent}{setting}");
    }
    DatasetCard::from_text(&lines.join("\n"), Path::new("agilex in buffer form")).expect("buffer form")
}

/// Every episode of a data set.
pub(crate) fn episodes(dataset: &Dataset) -> Result<Vec<Episode>, EpisodeError> {
    let mut episodes = Vec::new();
    for name in dataset.files() {
        let file = dataset.open_file(name)?;
        for key in file.keys() {
            match file.episode(key)? {
                Verdict::Accepted(episode) => episodes.push(*episode),
                Verdict::Filtered(reason) => panic!("{name}:{key}: {reason}"),
            }
        }
    }
    Ok(episodes)
}

/// Upright RGB pixels of a source frame.
pub(crate) fn decode(form: &FrameForm, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EpisodeError> {
    let (height, width) = (form.height as usize, form.width as usize);
    out.clear();
    match form.encoding {
        FrameEncoding::Raw => out.extend_from_slice(bytes),
        FrameEncoding::Jpeg => {
            let image = turbojpeg::decompress(bytes, turbojpeg::PixelFormat::RGB).map_err(|error| {
                EpisodeError::content(Path::new("test"), "frame", "no JPEG", "a JPEG", "-").caused_by(error)
            })?;
            assert_eq!((image.height, image.width), (height, width));
            for row in image.pixels.chunks_exact(image.pitch) {
                out.extend_from_slice(&row[..width * 3]);
            }
        }
    }
    assert_eq!(out.len(), height * width * 3);
    if form.order == ChannelOrder::Bgr {
        out.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
    }
    match form.flip {
        Flip::None => {}
        Flip::Vertical => *out = out.chunks_exact(width * 3).rev().flatten().copied().collect(),
        Flip::Horizontal | Flip::Both => unimplemented!("no shipped card has it"),
    }
    Ok(())
}

/// The arrays of a recording.
pub(crate) struct Tensors(BTreeMap<String, Tensor>);

pub(crate) struct Tensor {
    pub shape: Vec<usize>,
    kind: Dtype,
    bytes: Vec<u8>,
}

impl Tensors {
    pub(crate) fn read(name: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let file = std::fs::read(golden(name))?;
        let tensors = SafeTensors::deserialize(&file)?;
        let copied = tensors.iter().map(|(name, view)| {
            let (shape, bytes) = (view.shape().to_vec(), view.data().to_vec());
            (name.to_owned(), Tensor { shape, kind: view.dtype(), bytes })
        });
        Ok(Self(copied.collect()))
    }

    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }
}

impl Tensor {
    pub(crate) fn f32(&self) -> Vec<f32> {
        assert_eq!(self.kind, Dtype::F32);
        self.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    pub(crate) fn f64(&self) -> Vec<f64> {
        match self.kind {
            Dtype::F32 => self.f32().into_iter().map(f64::from).collect(),
            Dtype::F64 => {
                let number = |b: &[u8]| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
                self.bytes.chunks_exact(8).map(number).collect()
            }
            kind => panic!("{kind:?} is no float"),
        }
    }

    pub(crate) fn u8(&self) -> &[u8] {
        assert_eq!(self.kind, Dtype::U8);
        &self.bytes
    }

    /// Row `index` of the first axis, in bytes.
    pub(crate) fn u8_row(&self, index: usize) -> &[u8] {
        let width: usize = self.shape[1..].iter().product();
        &self.u8()[index * width..][..width]
    }
}

/// `values` and `expected` differ by at most `tolerance`.
#[track_caller]
pub(crate) fn close(what: &str, values: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(values.len(), expected.len(), "{what}");
    for (i, (value, expected)) in values.iter().zip(expected).enumerate() {
        assert!((value - expected).abs() <= tolerance, "{what}[{i}]: {value} but {expected} was recorded");
    }
}
