//! One source file and the reading of its episodes: from arrays to checked rows.
//!
//! Owns every check that a card cannot make without the data: arrays present, as wide and as long
//! as the card says, finite; cameras and instruction present. What is wrong is an error for that
//! episode alone.

use std::path::{Path, PathBuf};

use rdt_schema::card::Conversion;
use rdt_schema::card::{BeforeTrim, CameraRule, CameraSource, Mapping, NumSteps};
use rdt_schema::{ActionSource, CameraSlot, Origin};

use crate::camera::{CameraFrames, PngFiles};
use crate::container::Container;
use crate::episode::Parts;
use crate::instruction::{self, nearest_folder};
use crate::matrix::Matrix;
use crate::{Dataset, Episode, EpisodeError};

/// An open file of a data set.
#[derive(Debug)]
pub struct SourceFile<'d> {
    dataset: &'d Dataset,
    name: String,
    path: PathBuf,
    container: Container,
    keys: Vec<String>,
}

/// What became of an episode that has no fault.
#[derive(Debug)]
pub enum Verdict {
    /// It is in the data set.
    Accepted(Box<Episode>),
    /// It is left out by design; the text says why.
    Filtered(String),
}

/// The path of `array` inside the episode `group`.
pub(crate) fn inside(group: &str, array: &str) -> String {
    if group.is_empty() { array.to_owned() } else { format!("{group}/{array}") }
}

impl<'d> SourceFile<'d> {
    pub(crate) fn open(dataset: &'d Dataset, name: &str) -> Result<Self, EpisodeError> {
        let path = dataset.path_of(name);
        let container = Container::open(dataset.card().format, &path)?;
        let pattern = &dataset.card().episodes;
        let keys = container.groups(pattern)?;
        if keys.is_empty() {
            return Err(EpisodeError::content(
                &path,
                pattern,
                "no group that fits",
                "the groups that are episodes",
                format!("change episodes in {}, or remove the file", dataset.card().path().display()),
            ));
        }
        Ok(Self { dataset, name: name.to_owned(), path, container, keys })
    }

    /// The keys of its episodes, in natural order (`demo_2` before `demo_10`); one empty key where
    /// the file is an episode.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    pub(crate) fn container(&self) -> &Container {
        &self.container
    }

    /// Reads the episode `key`: rows, instruction, and where its frames are. Frames themselves are
    /// not read.
    ///
    /// # Errors
    /// What is missing or wrong in this episode; the others are not touched by it.
    pub fn episode(&self, key: &str) -> Result<Verdict, EpisodeError> {
        let (card, schema) = (self.dataset.card(), self.dataset.schema());
        let position = self.keys.iter().position(|known| known == key).ok_or_else(|| {
            self.fault(
                key,
                "no such episode",
                format!("one of {} keys", self.keys.len()),
                "ask for another key",
            )
        })?;
        let limit = nearest_folder(&self.path, |folder| card.filter.keep_first.get(folder).copied());
        if let Some(limit) = limit.filter(|&limit| position >= limit) {
            return Ok(Verdict::Filtered(format!(
                "episode {position} of its file, of which the card keeps the first {limit}"
            )));
        }
        let steps = self.steps(key)?;
        if steps < self.dataset.min_steps() as usize {
            let least = self.dataset.min_steps();
            return Ok(Verdict::Filtered(format!("{steps} steps, at least {least} are wanted")));
        }
        let mut arrays = Arrays { file: self, key, read: Vec::new() };
        let Some(first_step) = self.first_step(&mut arrays)? else {
            return Ok(Verdict::Filtered("never moves: no value leaves the first row's threshold".into()));
        };
        let conversion = self.dataset.conversion();
        let mut states = self.rows("state", &card.state, &conversion.state, &mut arrays)?;
        let mut actions = match schema.window.action_source {
            ActionSource::Recorded => {
                Some(self.rows("action", &card.action, &conversion.action, &mut arrays)?)
            }
            ActionSource::NextState => None,
        };
        if let Some(actions) = &actions {
            self.check_counts(&arrays, states.rows, actions.rows)?;
        }
        let cameras = self.cameras(key, position, steps)?;
        let instructions = instruction::find(card, &self.container, &self.path, key)?;

        let cut = match card.trim_still.as_ref().map(|trim| trim.before) {
            Some(BeforeTrim::Cut) => first_step,
            _ => 0,
        };
        states.values.drain(..cut * states.columns);
        if let Some(actions) = &mut actions {
            actions.values.drain(..cut * actions.columns);
        }
        let counted = match card.num_steps {
            NumSteps::Count => steps - cut,
            NumSteps::LastIndex => steps - cut - 1,
        };
        let parts = Parts {
            origin: Origin { source: self.name.clone(), key: key.to_owned() },
            states: states.values,
            actions: actions.map(|matrix| matrix.values),
            first_step: (first_step - cut) as u32,
            num_steps: counted as u32,
            instructions,
            cameras,
            first_frame: cut as u32,
        };
        Ok(Verdict::Accepted(Box::new(Episode::assemble(schema, parts, &self.path)?)))
    }

    fn fault(
        &self,
        place: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> EpisodeError {
        EpisodeError::content(&self.path, place, found, expected, remedy)
    }

    fn check_card(&self) -> String {
        format!("check the card {} against the file", self.dataset.card().path().display())
    }

    /// Steps of an episode, from the shape of its first state array alone.
    fn steps(&self, key: &str) -> Result<usize, EpisodeError> {
        let card = self.dataset.card();
        let array = inside(key, card.state.first().map_or("", |mapping| mapping.array.as_str()));
        let shape = self.container.shape(&array).ok_or_else(|| self.missing(&array))?;
        let rows = shape.first().copied().unwrap_or(0);
        rows.checked_sub(card.window.extra_states as usize).filter(|&steps| steps > 0).ok_or_else(|| {
            self.fault(
                &array,
                format!("{rows} rows"),
                format!("at least {}", card.window.extra_states + 1),
                "record the episode again",
            )
        })
    }

    fn missing(&self, array: &str) -> EpisodeError {
        self.fault(array, "no such array", "an array, as the card says", self.check_card())
    }

    fn not_finite(&self, place: &str, value: f64, row: usize, column: usize) -> EpisodeError {
        self.fault(
            place,
            format!("{value} in row {row}, column {column}"),
            "finite numbers",
            "record the episode again, or remove it",
        )
    }

    /// First step that is a sample; `None` where nothing ever moves.
    fn first_step(&self, arrays: &mut Arrays<'_>) -> Result<Option<usize>, EpisodeError> {
        let Some(trim) = &self.dataset.card().trim_still else {
            return Ok(Some(0));
        };
        let place = inside(arrays.key, &trim.array);
        let matrix = arrays.get(&trim.array)?;
        // Not a number differs from nothing: it would pass for an arm at rest.
        if let Some(bad) = matrix.values.iter().position(|value| !value.is_finite()) {
            return Err(self.not_finite(
                &place,
                matrix.values[bad],
                bad / matrix.columns,
                bad % matrix.columns,
            ));
        }
        let first = matrix.row(0);
        let moved = |row: &[f64]| row.iter().zip(first).any(|(x, x0)| (x - x0).abs() > trim.threshold);
        // The row before the first one that moved is the first sample (RDT).
        Ok((1..matrix.rows).find(|&index| moved(matrix.row(index))).map(|index| index - 1))
    }

    /// The converted rows of all mappings of a part, side by side.
    fn rows(
        &self,
        part: &str,
        mappings: &[Mapping],
        conversions: &[Conversion],
        arrays: &mut Arrays<'_>,
    ) -> Result<Matrix, EpisodeError> {
        let columns: usize = mappings.iter().map(|mapping| mapping.entries.len()).sum();
        let mut out = Matrix { rows: 0, columns, values: Vec::new() };
        let (mut at, mut first_array) = (0, "");
        let mut row = Vec::new();
        for (mapping, conversion) in mappings.iter().zip(conversions) {
            let key = arrays.key;
            let matrix = arrays.get(&mapping.array)?;
            let place = inside(key, &mapping.array);
            self.check_width(mapping, matrix, &place)?;
            if first_array.is_empty() {
                first_array = &mapping.array;
                out.rows = matrix.rows;
                out.values.resize(out.rows * columns, 0.0);
            } else if matrix.rows != out.rows {
                return Err(self.fault(
                    &place,
                    format!("{} rows", matrix.rows),
                    format!("{}, as {} has, which fills the {part} too", out.rows, inside(key, first_array)),
                    "record or convert the episode again",
                ));
            }
            let width = mapping.entries.len();
            for index in mapping.delay as usize..matrix.rows {
                let source = matrix.row(index - mapping.delay as usize);
                row.clear();
                mapping.take_into(source, &mut row);
                if let Some(bad) = row.iter().position(|value| !value.is_finite()) {
                    let column = mapping.columns.as_ref().map_or(bad, |columns| columns[bad]);
                    return Err(self.not_finite(&place, row[bad], index - mapping.delay as usize, column));
                }
                conversion.apply_in_place(&mut row);
                if row.len() != width || row.iter().any(|value| !value.is_finite()) {
                    return Err(self.fault(
                        &place,
                        format!("values in row {index} that the card's conversions make {row:?} of"),
                        "values that they make finite numbers of",
                        "check the array and the card's conversions (min_max needs the first pass)",
                    ));
                }
                out.values[index * columns + at..][..width].copy_from_slice(&row);
            }
            at += width;
        }
        Ok(out)
    }

    fn check_width(&self, mapping: &Mapping, matrix: &Matrix, place: &str) -> Result<(), EpisodeError> {
        let highest = mapping.columns.as_ref().and_then(|columns| columns.iter().max()).map(|last| last + 1);
        let exact = mapping.width.or_else(|| mapping.columns.is_none().then(|| mapping.input_width()));
        let expected = match exact {
            Some(width) if width != matrix.columns => width.to_string(),
            None if highest.is_some_and(|least| least > matrix.columns) => {
                format!("at least {}", highest.unwrap_or(0))
            }
            _ => return Ok(()),
        };
        Err(self.fault(
            place,
            format!("{} columns", matrix.columns),
            format!("{expected} columns"),
            self.check_card(),
        ))
    }

    fn check_counts(&self, arrays: &Arrays<'_>, states: usize, actions: usize) -> Result<(), EpisodeError> {
        let card = self.dataset.card();
        let expected = states - card.window.extra_states as usize;
        if actions == expected {
            return Ok(());
        }
        let place = card.action.first().map_or("", |mapping| mapping.array.as_str());
        Err(self.fault(
            &inside(arrays.key, place),
            format!("{actions} rows"),
            format!("{expected}: {states} rows of state less extra_states ({})", card.window.extra_states),
            format!("record the episode again, or {}", self.check_card()),
        ))
    }

    fn cameras(
        &self,
        key: &str,
        position: usize,
        steps: usize,
    ) -> Result<[Option<CameraFrames>; CameraSlot::COUNT], EpisodeError> {
        let mut cameras: [Option<CameraFrames>; CameraSlot::COUNT] = Default::default();
        for slot in CameraSlot::ALL {
            if let Some(rule) = &self.dataset.card().cameras[slot.index()] {
                cameras[slot.index()] = self.camera(rule, slot, key, position, steps)?;
            }
        }
        Ok(cameras)
    }

    fn camera(
        &self,
        rule: &CameraRule,
        slot: CameraSlot,
        key: &str,
        position: usize,
        steps: usize,
    ) -> Result<Option<CameraFrames>, EpisodeError> {
        let absent = |place: &str, what: &str| {
            if rule.optional {
                return Ok(None);
            }
            Err(self.fault(
                place,
                what,
                format!("the frames of camera {}", slot.name()),
                format!("record it, or mark the camera optional in {}", self.dataset.card().path().display()),
            ))
        };
        match &rule.source {
            CameraSource::Array { path, lengths } => {
                let place = inside(key, path);
                if self.container.shape(&place).is_none() {
                    return absent(&place, "no such array");
                }
                let table = lengths.as_ref().map(|(table, row)| (inside(key, table), *row));
                let table = table.filter(|(table, _)| self.container.exists(table));
                let frames = self
                    .container
                    .frames(&place, table.as_ref().map(|(table, row)| (table.as_str(), *row)))?;
                self.check_frame_count(&place, frames.len(), steps)?;
                Ok(Some(CameraFrames::of_array(frames, rule)))
            }
            CameraSource::Files(template) => {
                let files = PngFiles {
                    folder: self.path.parent().unwrap_or(Path::new("")).to_owned(),
                    template: template.clone(),
                    episode: position as u64,
                    number: trailing_number(key).unwrap_or(position as u64),
                    count: steps as u32,
                };
                let (first, last) = (files.path(0), files.path(files.count - 1));
                let place = format!("{key}: camera {}", slot.name());
                if !first.is_file() {
                    return absent(&place, &format!("no file {}", first.display()));
                }
                if !last.is_file() {
                    return Err(self.fault(
                        &place,
                        format!("no file {}", last.display()),
                        format!("{steps} frames, one a step"),
                        "render the episode again",
                    ));
                }
                Ok(Some(CameraFrames::of_files(files, rule)))
            }
        }
    }

    /// As many frames as steps, or as states where an episode has one more of those.
    fn check_frame_count(&self, place: &str, frames: usize, steps: usize) -> Result<(), EpisodeError> {
        let extra = self.dataset.card().window.extra_states as usize;
        if frames == steps || frames == steps + extra {
            return Ok(());
        }
        let or_more = if extra > 0 { format!(" or {}", steps + extra) } else { String::new() };
        Err(self.fault(
            place,
            format!("{frames} frames"),
            format!("{steps}{or_more}, as the state array says"),
            "record or convert the episode again",
        ))
    }
}

/// The number that ends an episode's key: 17 of `traj_17`.
fn trailing_number(key: &str) -> Option<u64> {
    key[key.trim_end_matches(|c: char| c.is_ascii_digit()).len()..].parse().ok()
}

/// Arrays of one episode, each read once: several mappings may take columns of the same one.
struct Arrays<'a> {
    file: &'a SourceFile<'a>,
    key: &'a str,
    read: Vec<(String, Matrix)>,
}

impl Arrays<'_> {
    fn get(&mut self, array: &str) -> Result<&Matrix, EpisodeError> {
        let position = match self.read.iter().position(|(name, _)| name == array) {
            Some(position) => position,
            None => {
                let path = inside(self.key, array);
                if self.file.container.shape(&path).is_none() {
                    return Err(self.file.missing(&path));
                }
                self.read.push((array.to_owned(), self.file.container.read_f64(&path)?));
                self.read.len() - 1
            }
        };
        Ok(&self.read[position].1)
    }
}
