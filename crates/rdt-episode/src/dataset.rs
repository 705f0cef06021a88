//! A data set: a card, a path, and the files below it.

use std::path::{Path, PathBuf};

use rdt_schema::card::Mapping;
use rdt_schema::card::{CardConversion, ColumnExtremes, Extremes};
use rdt_schema::{ActionSource, Config, DatasetCard, DatasetSchema, Setting};

use crate::read::{SourceFile, inside};
use crate::{EpisodeError, files};

/// A data set, ready to open its files. Reads from any number of threads.
#[derive(Debug, Clone)]
pub struct Dataset {
    schema: DatasetSchema,
    card: DatasetCard,
    root: PathBuf,
    folder: PathBuf,
    files: Vec<String>,
    duplicates: Vec<(String, String)>,
    min_steps: u32,
    extremes: Option<Extremes>,
    conversion: CardConversion,
}

impl Dataset {
    /// Lists the files of the data set `name` below `root`, by the card's pattern. Where `root` is
    /// a file, the data set is that file, whatever its name.
    ///
    /// # Errors
    /// [`EpisodeError::Open`] where `root` is missing or not readable, or holds no such file, or
    /// the card shifts the actions beyond the configuration's window.
    pub fn open(name: &str, card: DatasetCard, root: &Path, config: &Config) -> Result<Self, EpisodeError> {
        let schema = card.schema(name, config);
        let (shift, rows) = (schema.window.action_shift, schema.window.action_source_rows);
        // The states that follow are always one step ahead, however short the window.
        if schema.window.action_source == ActionSource::Recorded && shift.unsigned_abs() >= rows {
            return Err(EpisodeError::open(
                card.path(),
                format!("window.shift {shift} with windows of {rows} recorded actions"),
                format!("a shift from {} to {}", 1 - i32::from(rows), i32::from(rows) - 1),
                "correct the card, or raise common.action_chunk_size in the configuration",
            ));
        }
        let about = std::fs::metadata(root).map_err(|cause| {
            EpisodeError::open(
                root,
                "nothing that can be read",
                format!("the files of data set {name}"),
                format!("check the path given with {} or {}", Setting::DATASET, Setting::DATA_ROOT),
            )
            .caused_by(cause)
        })?;
        let root = std::path::absolute(root).map_err(|cause| {
            EpisodeError::open(root, "no absolute path", "a path", "check the current folder")
                .caused_by(cause)
        })?;
        let (folder, found) = match (about.is_dir(), root.parent(), root.file_name().and_then(|f| f.to_str()))
        {
            (true, ..) => (root.clone(), files::find(&root, &card.files)?),
            (false, Some(folder), Some(file)) => {
                (folder.to_owned(), files::Found { files: vec![file.to_owned()], duplicates: Vec::new() })
            }
            _ => {
                return Err(EpisodeError::open(
                    &root,
                    "no file name in UTF-8",
                    "a file or folder",
                    "rename it",
                ));
            }
        };
        let files::Found { files, duplicates } = found;
        if files.is_empty() {
            return Err(EpisodeError::open(
                &root,
                format!("no file that fits {:?}", card.files),
                format!("at least one, as the card {} says", card.path().display()),
                "check the path, or the card's files pattern",
            ));
        }
        Ok(Self {
            schema,
            min_steps: card.filter.min_steps.unwrap_or(config.dataset.epsd_len_thresh_low),
            conversion: CardConversion::new(&card, None),
            card,
            root,
            folder,
            files,
            duplicates,
            extremes: None,
        })
    }

    /// How its samples are laid out.
    pub fn schema(&self) -> &DatasetSchema {
        &self.schema
    }

    /// How its episodes are read.
    pub fn card(&self) -> &DatasetCard {
        &self.card
    }

    /// The path it was opened with, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its files, relative to the path (a single file by its name), sorted.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// Those of [`Dataset::files`] that are further names of a file, by a symbolic or hard link:
    /// (this name, the first one), sorted.
    pub fn duplicates(&self) -> &[(String, String)] {
        &self.duplicates
    }

    /// Absolute path of one of its files.
    pub fn path_of(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Episodes with fewer steps are left out: the card's limit, else the configuration's.
    pub fn min_steps(&self) -> u32 {
        self.min_steps
    }

    /// Makes the first pass over all files, where the card scales by extremes; otherwise, and
    /// where extremes are known already, does nothing. Files and episodes that cannot be read
    /// are left out here; opening them names them.
    ///
    /// # Errors
    /// [`EpisodeError::Open`] where no episode at all can be read.
    pub fn prepare(&mut self) -> Result<(), EpisodeError> {
        self.prepare_until(&|| false).map(|_finished| ())
    }

    /// As [`Dataset::prepare`], but ends before the next episode once `stopped` says so. Returns
    /// whether it came to its end; if not, nothing has changed.
    ///
    /// # Errors
    /// As [`Dataset::prepare`].
    pub fn prepare_until(&mut self, stopped: &dyn Fn() -> bool) -> Result<bool, EpisodeError> {
        if !self.card.needs_extremes() || self.extremes.is_some() {
            return Ok(true);
        }
        let mut pass = FirstPass::of(&self.card);
        for file in &self.files {
            let Ok(file) = self.open_file(file) else { continue };
            for key in file.keys() {
                if stopped() {
                    return Ok(false);
                }
                pass.add(&self.card, &file, key);
            }
        }
        if pass.episodes == 0 {
            return Err(EpisodeError::open(
                &self.root,
                format!("{} files without one readable episode", self.files.len()),
                "episodes whose smallest and largest values the card scales by",
                "check the card's episodes, state and action against a file",
            ));
        }
        self.restore(pass.extremes);
        Ok(true)
    }

    /// What the first pass found; `None` where the card needs none, or before it.
    pub fn extremes(&self) -> Option<&Extremes> {
        self.extremes.as_ref()
    }

    /// Takes the extremes of an earlier first pass, from a manifest.
    pub fn restore(&mut self, extremes: Extremes) {
        self.conversion = CardConversion::new(&self.card, Some(&extremes));
        self.extremes = Some(extremes);
    }

    /// The conversions of the card with this data set's extremes, both ways.
    pub fn conversion(&self) -> &CardConversion {
        &self.conversion
    }

    /// Opens one of [`Dataset::files`].
    ///
    /// # Errors
    /// [`EpisodeError::Open`] where it is missing, not HDF5, or damaged; [`EpisodeError::Content`]
    /// where it has no group that fits the card's `episodes`.
    pub fn open_file(&self, file: &str) -> Result<SourceFile<'_>, EpisodeError> {
        SourceFile::open(self, file)
    }
}

/// Collects the extremes of every mapping that scales by them.
struct FirstPass {
    extremes: Extremes,
    episodes: usize,
}

impl FirstPass {
    fn of(card: &DatasetCard) -> Self {
        let empty = |mappings: &[Mapping]| {
            let of_mapping =
                |mapping: &Mapping| mapping.scales().then(|| ColumnExtremes::empty(mapping.input_width()));
            mappings.iter().map(of_mapping).collect()
        };
        Self { extremes: Extremes { state: empty(&card.state), action: empty(&card.action) }, episodes: 0 }
    }

    /// Adds an episode, wholly or (where something in it is wrong) not at all.
    fn add(&mut self, card: &DatasetCard, file: &SourceFile<'_>, key: &str) {
        let mut widened = self.extremes.clone();
        let mut row = Vec::new();
        let all =
            widened.state.iter_mut().zip(&card.state).chain(widened.action.iter_mut().zip(&card.action));
        for (extremes, mapping) in all {
            let Some(extremes) = extremes else { continue };
            let Ok(matrix) = file.container().read_f64(&inside(key, &mapping.array)) else { return };
            let highest = mapping
                .columns
                .as_ref()
                .map_or(mapping.input_width(), |c| c.iter().max().map_or(0, |m| m + 1));
            if matrix.columns < highest {
                return;
            }
            for index in 0..matrix.rows {
                row.clear();
                mapping.take_into(matrix.row(index), &mut row);
                if row.iter().any(|value| !value.is_finite()) {
                    return;
                }
                extremes.include(&row);
            }
        }
        self.extremes = widened;
        self.episodes += 1;
    }
}
