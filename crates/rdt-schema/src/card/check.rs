//! From the YAML form of a card to a [`DatasetCard`]: names resolved, counts and values checked.

use std::path::Path;

use super::file::{
    CameraFile, CardFile, Columns, ConvertFile, InstructionSourceFile, MappingFile, NormOf, Numbers,
};
use super::{
    CameraRule, CameraSource, Convert, DatasetCard, EpisodeFilter, InstructionSource, Mapping, TrimStill,
    WindowRule, names,
};
use crate::error::SchemaError;
use crate::state_vec;
use crate::window::ActionSource;

/// What is wrong with a value: key below the checked part, found, expected.
struct Wrong {
    field: String,
    found: String,
    expected: String,
}

fn wrong(field: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Wrong {
    Wrong { field: field.into(), found: found.into(), expected: expected.into() }
}

pub(super) fn card(text: &str, path: &Path) -> Result<DatasetCard, SchemaError> {
    let file: CardFile = serde_saphyr::from_str(text).map_err(|error| SchemaError::Parse {
        path: path.to_owned(),
        found: error.without_snippet().to_string(),
        expected: "configs/README.md lists the keys of a dataset card and their values".into(),
    })?;
    build(file, text, path).map_err(|Wrong { field, found, expected }| SchemaError::Value {
        path: path.to_owned(),
        field,
        found,
        expected,
    })
}

fn build(file: CardFile, text: &str, path: &Path) -> Result<DatasetCard, Wrong> {
    if !(file.control_freq.is_finite() && file.control_freq >= 0.0) {
        return Err(wrong(
            "control_freq",
            file.control_freq.to_string(),
            "steps a second, or 0 where unknown",
        ));
    }
    if file.files.trim().is_empty() {
        return Err(wrong("files", "empty", "a pattern such as \"*.hdf5\""));
    }
    let window = window(&file)?;
    let norm_of_actions = file.state_norm_of == NormOf::Action;
    if norm_of_actions && window.actions == ActionSource::NextState {
        return Err(wrong("state_norm_of", "action", "state, where window.actions is next_state"));
    }
    let instruction = instruction(file.instruction.from)?;
    if let Some(trim) = &file.trim_still
        && !(trim.threshold.is_finite() && trim.threshold >= 0.0)
    {
        return Err(wrong("trim_still.threshold", trim.threshold.to_string(), "a number of at least 0"));
    }
    Ok(DatasetCard {
        control_freq: file.control_freq,
        format: file.format,
        files: file.files,
        episodes: file.episodes,
        state: mappings("state", file.state)?,
        action: mappings("action", file.action)?,
        window,
        cameras: [
            camera("external", file.cameras.external)?,
            camera("right_wrist", file.cameras.right_wrist)?,
            camera("left_wrist", file.cameras.left_wrist)?,
            camera("extra", file.cameras.extra)?,
        ],
        instruction,
        sentence_case: file.instruction.sentence_case,
        filter: EpisodeFilter { min_steps: file.filter.min_steps, keep_first: file.filter.keep_first },
        trim_still: file.trim_still.map(|trim| TrimStill {
            array: trim.array,
            threshold: trim.threshold,
            before: trim.before,
        }),
        norm_of_actions,
        num_steps: file.num_steps,
        precision: file.precision,
        text: text.to_owned(),
        path: path.to_owned(),
    })
}

fn window(file: &CardFile) -> Result<WindowRule, Wrong> {
    let rule = &file.window;
    if file.state.is_empty() {
        return Err(wrong("state", "empty", "at least one array"));
    }
    let shift = match (rule.actions, rule.shift) {
        (ActionSource::NextState, None) => 1,
        (ActionSource::NextState, Some(shift)) => {
            return Err(wrong(
                "window.shift",
                shift.to_string(),
                "no shift where window.actions is next_state: action j of step t is state t + 1 + j",
            ));
        }
        // How far it may go depends on the configuration, and is checked where the two meet.
        (ActionSource::Recorded, shift) => {
            let shift = shift.unwrap_or(0);
            i16::try_from(shift).map_err(|_| {
                wrong(
                    "window.shift",
                    shift.to_string(),
                    "a number of steps that is smaller than the action window, forwards or backwards",
                )
            })?
        }
    };
    match rule.actions {
        ActionSource::NextState if !file.action.is_empty() => Err(wrong(
            "action",
            format!("{} arrays", file.action.len()),
            "none where window.actions is next_state, since actions are then the states that follow",
        )),
        ActionSource::Recorded if file.action.is_empty() => {
            Err(wrong("action", "empty", "at least one array where window.actions is recorded"))
        }
        ActionSource::NextState if rule.extra_states != 0 => Err(wrong(
            "window.extra_states",
            rule.extra_states.to_string(),
            "0 where window.actions is next_state, since every state is then a step",
        )),
        _ if rule.stretch == 0 => Err(wrong("window.stretch", "0", "at least 1")),
        _ => Ok(WindowRule {
            actions: rule.actions,
            shift,
            stretch: rule.stretch,
            tail: rule.tail,
            extra_states: rule.extra_states,
        }),
    }
}

fn mappings(part: &str, files: Vec<MappingFile>) -> Result<Vec<Mapping>, Wrong> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for (position, file) in files.into_iter().enumerate() {
        let place = format!("{part}[{position}]");
        let mapping = mapping(&place, file)?;
        for (i, entry) in mapping.entries.iter().enumerate() {
            let before = mappings.iter().flat_map(|earlier| &earlier.entries);
            if before.chain(&mapping.entries[..i]).any(|earlier| earlier == entry) {
                return Err(wrong(
                    format!("{place}.to"),
                    format!(
                        "{}, entry {entry}, filled for the second time",
                        state_vec::label_of(usize::from(*entry))
                    ),
                    "every entry of the unified vector at most once",
                ));
            }
        }
        mappings.push(mapping);
    }
    Ok(mappings)
}

fn mapping(place: &str, file: MappingFile) -> Result<Mapping, Wrong> {
    let entries = entries(place, &file.to.0)?;
    let columns = file.columns.map(|Columns(columns)| columns);
    let input = input_width(&file.convert, entries.len());
    if let Some(columns) = &columns
        && columns.len() != input
    {
        return Err(wrong(
            format!("{place}.to"),
            format!("{} names for {} columns", entries.len(), columns.len()),
            format!("names that {input} columns fill: the card takes {} from {}", columns.len(), file.array),
        ));
    }
    if let Some(width) = file.width {
        let highest = columns.as_ref().map_or(input, |c| c.iter().max().map_or(0, |last| last + 1));
        if highest > width || (columns.is_none() && input != width) {
            return Err(wrong(
                format!("{place}.width"),
                width.to_string(),
                format!("{highest} at least, for the columns taken ({input} if none are named)"),
            ));
        }
    }
    let convert = conversions(place, file.convert, input, entries.len())?;
    Ok(Mapping { array: file.array, columns, width: file.width, delay: file.delay, convert, entries })
}

fn entries(place: &str, words: &[String]) -> Result<Vec<u8>, Wrong> {
    let mut entries = Vec::new();
    for word in words {
        let names = names::expand(word).ok_or_else(|| {
            wrong(format!("{place}.to"), format!("{word:?}"), "a brace such as {0..5} or {x,y,z}, closed")
        })?;
        for name in names {
            let entry = state_vec::index_of(&name).ok_or_else(|| {
                wrong(
                    format!("{place}.to"),
                    format!("{name:?}, which is no name of the unified vector"),
                    format!("one such as {}; configs/README.md lists all", nearest(&name)),
                )
            })?;
            entries.push(entry as u8);
        }
    }
    if entries.is_empty() {
        return Err(wrong(format!("{place}.to"), "empty", "the names that the columns fill"));
    }
    Ok(entries)
}

/// The name of the vector that shares the longest start and end with `name`.
fn nearest(name: &str) -> String {
    let shared = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let shared_end =
        |a: &str, b: &str| a.bytes().rev().zip(b.bytes().rev()).take_while(|(x, y)| x == y).count();
    state_vec::names()
        .into_iter()
        .map(|(known, _)| known)
        .max_by_key(|known| shared(known, name) + shared_end(known, name))
        .unwrap_or_default()
}

/// Columns that go into the conversions, told from what must come out.
fn input_width(convert: &[ConvertFile], output: usize) -> usize {
    convert.iter().rev().fold(output, |width, step| match step {
        ConvertFile::Sum(Numbers(weights)) => weights.len(),
        ConvertFile::RotationFrom(rotation) => rotation.width(),
        _ => width,
    })
}

fn conversions(
    place: &str,
    steps: Vec<ConvertFile>,
    input: usize,
    output: usize,
) -> Result<Vec<Convert>, Wrong> {
    let mut width = input;
    let mut converts = Vec::new();
    for (position, step) in steps.into_iter().enumerate() {
        let field = format!("{place}.convert[{position}]");
        let (convert, out) = conversion(&field, step, width, position)?;
        converts.push(convert);
        width = out;
    }
    if width == output {
        return Ok(converts);
    }
    Err(wrong(
        format!("{place}.to"),
        format!("{output} names"),
        format!("{width} names, one a column after the conversions"),
    ))
}

/// One step on `width` columns, and how many come out.
fn conversion(
    field: &str,
    step: ConvertFile,
    width: usize,
    position: usize,
) -> Result<(Convert, usize), Wrong> {
    let each = |Numbers(numbers): Numbers, zero_allowed: bool| -> Result<Vec<f64>, Wrong> {
        if numbers.iter().any(|x| !x.is_finite() || (*x == 0.0 && !zero_allowed)) {
            let what = if zero_allowed { "finite numbers" } else { "finite numbers other than 0" };
            return Err(wrong(field, format!("{numbers:?}"), what));
        }
        match numbers.len() {
            1 => Ok(vec![numbers[0]; width]),
            n if n == width => Ok(numbers),
            n => Err(wrong(field, format!("{n} numbers"), format!("one number, or {width}: one a column"))),
        }
    };
    let range = |[low, high]: [f64; 2]| {
        if low.is_finite() && high.is_finite() && low < high {
            return Ok([low, high]);
        }
        Err(wrong(field, format!("[{low}, {high}]"), "two finite numbers, the lower one first"))
    };
    Ok(match step {
        ConvertFile::Scale(numbers) => (Convert::Scale(each(numbers, false)?), width),
        ConvertFile::Divide(numbers) => (Convert::Divide(each(numbers, false)?), width),
        ConvertFile::Offset(numbers) => (Convert::Offset(each(numbers, true)?), width),
        ConvertFile::Sum(Numbers(weights)) => {
            if weights.len() != width || weights.iter().any(|w| !w.is_finite()) {
                return Err(wrong(
                    field,
                    format!("sum over {} columns", weights.len()),
                    format!("{width} finite weights, one a column"),
                ));
            }
            if weights.iter().all(|&w| w == 0.0) {
                return Err(wrong(field, "only zeros", "a weight other than 0"));
            }
            (Convert::Sum(weights), 1)
        }
        ConvertFile::MinMax(_) if position != 0 => {
            return Err(wrong(
                field,
                "min_max after another conversion",
                "min_max as the first conversion: the extremes are those of the array itself",
            ));
        }
        ConvertFile::MinMax(target) => (Convert::MinMax(range(target)?), width),
        ConvertFile::RotationFrom(rotation) if rotation.width() != width => {
            return Err(wrong(
                field,
                format!("a rotation from {width} columns"),
                format!("{} columns for {rotation:?}", rotation.width()),
            ));
        }
        ConvertFile::RotationFrom(rotation) => (Convert::RotationFrom(rotation), 6),
        ConvertFile::Clip(limits) => (Convert::Clip(range(limits)?), width),
    })
}

fn camera(slot: &str, file: Option<CameraFile>) -> Result<Option<CameraRule>, Wrong> {
    let Some(file) = file else {
        return Ok(None);
    };
    let place = format!("cameras.{slot}");
    let source = match (file.array, file.files) {
        (Some(path), None) => {
            CameraSource::Array { path, lengths: file.lengths.map(|table| (table.array, table.row)) }
        }
        (None, Some(_)) if file.lengths.is_some() => {
            return Err(wrong(format!("{place}.lengths"), "a table beside files", "lengths with array only"));
        }
        (None, Some(text)) => {
            let template = names::template(&text)
                .map_err(|expected| wrong(format!("{place}.files"), format!("{text:?}"), expected))?;
            CameraSource::Files(template)
        }
        (array, _) => {
            let found = if array.is_some() { "both array and files" } else { "neither array nor files" };
            return Err(wrong(place, found, "one of them: the array or the files that hold the frames"));
        }
    };
    Ok(Some(CameraRule {
        source,
        jpeg_channels: file.jpeg_channels,
        raw_channels: file.raw_channels,
        flip: file.flip,
        optional: file.optional,
    }))
}

fn instruction(files: Vec<InstructionSourceFile>) -> Result<Vec<InstructionSource>, Wrong> {
    if files.is_empty() {
        return Err(wrong("instruction.from", "empty", "at least one source"));
    }
    files
        .into_iter()
        .enumerate()
        .map(|(position, file)| {
            let place = format!("instruction.from[{position}]");
            Ok(match file {
                InstructionSourceFile::Attribute(file) => InstructionSource::Attribute {
                    group: file.group,
                    name: file.name,
                    json_key: file.json_key,
                },
                InstructionSourceFile::JsonFile(file) if file.keys.is_empty() => {
                    return Err(wrong(format!("{place}.json_file.keys"), "empty", "at least one key"));
                }
                InstructionSourceFile::JsonFile(file) => {
                    InstructionSource::JsonFile { name: file.name, keys: file.keys }
                }
                InstructionSourceFile::Array(path) => InstructionSource::Array(path),
                InstructionSourceFile::Folder(table) => InstructionSource::Folder(table),
                InstructionSourceFile::Text(text) => InstructionSource::Text(text),
            })
        })
        .collect()
}
