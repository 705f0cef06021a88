//! Files that tests make: one episode in the agilex layout, and tasks in the ManiSkill layout.

use std::path::Path;

use hdf5::types::VarLenUnicode;
use ndarray::{Array2, Array4};

pub(crate) type Made = Result<(), Box<dyn std::error::Error>>;

/// What an episode in the agilex layout is made of; every field can be bent by a test.
pub(crate) struct Agilex {
    pub steps: usize,
    pub action_steps: usize,
    pub columns: usize,
    pub frames: usize,
    pub cameras: Vec<&'static str>,
    pub instruction: Option<&'static str>,
    pub qpos: Option<&'static str>,
    /// (row, column, value) that replaces a state.
    pub bad_state: Option<(usize, usize, f64)>,
    pub bad_action: Option<(usize, usize, f64)>,
}

impl Default for Agilex {
    fn default() -> Self {
        Self {
            steps: 130,
            action_steps: 130,
            columns: 14,
            frames: 130,
            cameras: vec!["cam_high", "cam_left_wrist", "cam_right_wrist"],
            instruction: Some("Hand over the cube."),
            qpos: Some("observations/qpos"),
            bad_state: None,
            bad_action: None,
        }
    }
}

impl Agilex {
    pub(crate) fn write(&self, path: &Path) -> Made {
        let file = hdf5::File::create(path)?;
        let wave = |(t, c): (usize, usize)| ((t as f64 * 0.05 + c as f64).sin()) as f32;
        let mut qpos = Array2::from_shape_fn((self.steps, self.columns), wave);
        let mut action = Array2::from_shape_fn((self.action_steps, self.columns), |(t, c)| wave((t + 1, c)));
        if let Some((row, column, value)) = self.bad_state {
            qpos[[row, column]] = value as f32;
        }
        if let Some((row, column, value)) = self.bad_action {
            action[[row, column]] = value as f32;
        }
        if let Some(name) = self.qpos {
            file.new_dataset_builder().with_data(&qpos).create(name)?;
        }
        file.new_dataset_builder().with_data(&action).create("action")?;
        for camera in &self.cameras {
            let frames =
                Array4::from_shape_fn((self.frames, 4, 6, 3), |(t, y, x, c)| (t + y * 7 + x * 3 + c) as u8);
            let name = format!("observations/images/{camera}");
            file.new_dataset_builder().with_data(&frames).create(name.as_str())?;
        }
        if let Some(text) = self.instruction {
            let text: VarLenUnicode = text.parse()?;
            file.new_dataset_builder().with_data(&[text]).create("instruction")?;
        }
        Ok(())
    }
}

/// States and actions of an episode in the ManiSkill layout, by position: made up, and the same
/// wherever they are asked for.
pub(crate) fn maniskill_value(task: usize, episode: usize, row: usize, column: usize) -> f32 {
    ((task * 31 + episode * 17 + row * 5 + column * 3) as f32 * 0.37).sin() * (1.0 + column as f32)
}

/// Writes `<root>/<task>/motionplanning/trajectory.h5` of `lengths.len()` episodes and their PNGs.
pub(crate) fn maniskill_task(root: &Path, task: &str, number: usize, lengths: &[usize]) -> Made {
    let folder = root.join(task).join("motionplanning");
    std::fs::create_dir_all(&folder)?;
    let file = hdf5::File::create(folder.join("trajectory.h5"))?;
    for (episode, &steps) in lengths.iter().enumerate() {
        let group = file.create_group(&format!("traj_{episode}"))?;
        let qpos =
            Array2::from_shape_fn((steps + 1, 9), |(t, c)| maniskill_value(number, episode, t, c.min(7)));
        let actions = Array2::from_shape_fn((steps, 8), |(t, c)| maniskill_value(number, episode, t + 1, c));
        group
            .create_group("obs")?
            .create_group("agent")?
            .new_dataset_builder()
            .with_data(&qpos)
            .create("qpos")?;
        group.new_dataset_builder().with_data(&actions).create("actions")?;
        let pictures = folder.join(format!("{}/{}", episode / 100, episode % 100));
        std::fs::create_dir_all(&pictures)?;
        for t in 0..steps {
            png(
                &pictures.join(format!("{}.png", t + 1)),
                png::ColorType::Rgb,
                png::BitDepth::Eight,
                3,
                2,
                &pixels(t),
            )?;
        }
    }
    Ok(())
}

/// The pixels of frame `t`: 3 wide, 2 high.
pub(crate) fn pixels(t: usize) -> Vec<u8> {
    (0..18).map(|i| (t * 18 + i) as u8).collect()
}

pub(crate) fn png(
    path: &Path,
    colour: png::ColorType,
    depth: png::BitDepth,
    width: u32,
    height: u32,
    bytes: &[u8],
) -> Made {
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == png::ColorType::Indexed {
        encoder.set_palette(vec![10, 20, 30, 40, 50, 60]);
    }
    encoder.write_header()?.write_image_data(bytes)?;
    Ok(())
}
