//! One sample in RDT's files, with RDT's names, order and element types.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use rdt_schema::{Instruction, STATE_DIM, Sample};

use super::cannot_write;
use super::npz::{Element, Npz};
use crate::dataset_stat::write_json;
use crate::error::{Context, Result};

/// Writes the sample of `slot` into a chunk's folder; returns the bytes of its arrays' file.
pub(super) fn write(folder: &Path, slot: u32, sample: &Sample) -> Result<u64> {
    let content = serde_json::json!({
        "dataset_name": sample.dataset_name,
        "#steps": sample.num_steps,
        "instruction": instruction(sample),
    });
    let path = folder.join(format!("json_content_{slot}.json"));
    write_json(&path, &content)?;
    write_lock(&path)?;
    let path = folder.join(format!("sample_{slot}.npz"));
    let bytes = write_arrays(&path, sample).with_context(|| cannot_write(&path))?;
    write_lock(&path)?;
    Ok(bytes)
}

/// RDT's reader locks an empty file beside each file, and fails where it is missing.
pub(super) fn write_lock(path: &Path) -> Result<()> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    File::create(&lock).map(drop).with_context(|| cannot_write(Path::new(&lock)))
}

fn write_arrays(path: &Path, sample: &Sample) -> std::io::Result<u64> {
    let mut npz = Npz::new(BufWriter::with_capacity(1 << 18, File::create(path)?));
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let rows = |values: &[f32]| [values.len() / STATE_DIM, STATE_DIM];
    let state_mask: Vec<f32> = sample.state_vec_mask.iter().map(|&mask| f32::from(mask)).collect();

    npz.array("step_id", Element::I32, &[], &(sample.step_id as i32).to_le_bytes())?;
    npz.array("state_chunk", Element::F32, &rows(&sample.state_chunk), &floats(&sample.state_chunk))?;
    mask(&mut npz, "state_chunk_time_mask", &sample.state_chunk_time_mask)?;
    npz.array("action_chunk", Element::F32, &rows(&sample.action_chunk), &floats(&sample.action_chunk))?;
    mask(&mut npz, "action_chunk_time_mask", &sample.action_chunk_time_mask)?;
    npz.array("state_vec_mask", Element::F32, &[STATE_DIM], &floats(&state_mask))?;
    for (camera, frames) in sample.frames.iter().enumerate() {
        let (height, width) = (frames.height as usize, frames.width as usize);
        let channels = if height == 0 { 0 } else { 3 };
        let shape = [frames.time_mask.len(), height, width, channels];
        npz.array(&format!("past_frames_{camera}"), Element::U8, &shape, &frames.pixels)?;
        mask(&mut npz, &format!("past_frames_{camera}_time_mask"), &frames.time_mask)?;
    }
    for (name, values) in [
        ("state_std", &sample.state_std),
        ("state_mean", &sample.state_mean),
        ("state_norm", &sample.state_norm),
    ] {
        npz.array(name, Element::F32, &[STATE_DIM], &floats(values))?;
    }
    npz.finish()
}

fn mask<W: std::io::Write>(npz: &mut Npz<W>, name: &str, mask: &[u8]) -> std::io::Result<()> {
    npz.array(name, Element::Bool, &[mask.len()], mask)
}

/// The sample's wording, drawn by weight from a hash of what the sample is.
fn instruction(sample: &Sample) -> &str {
    let name = format!("{}\0{}\0{}\0{}", sample.dataset_name, sample.source, sample.key, sample.step_id);
    let drawn = Instruction::draw(&sample.instructions, unit(name.as_bytes()));
    sample.instructions.get(drawn).map_or("", |instruction| instruction.text.as_str())
}

/// A number in [0, 1) that depends on all of `bytes`: FNV-1a, then mixed as splitmix64 does,
/// since FNV's high bits alone are poor on short names.
fn unit(bytes: &[u8]) -> f64 {
    let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_spread_over_the_unit_interval() {
        let mut counts = [0u32; 10];
        for step in 0..10_000u32 {
            let at = unit(format!("agilex\0episode_0.hdf5\0\0{step}").as_bytes());
            assert!((0.0..1.0).contains(&at), "{at}");
            counts[(at * 10.0) as usize] += 1;
        }
        // Ten standard deviations are 300.
        assert!(counts.iter().all(|count| (700..1300).contains(count)), "{counts:?}");
    }
}
