//! Finding an episode's instruction, in all its wordings, where the card says.
//!
//! The first source that an episode has is used; one that is there and broken is an error, never
//! passed over. Wordings keep their inner text; blanks around them are cut.

use std::path::Path;

use rdt_schema::card::InstructionSource;
use rdt_schema::instruction::as_sentence;
use rdt_schema::{DatasetCard, Instruction};
use serde_json::Value;

use crate::EpisodeError;
use crate::container::Container;

const REMEDY: &str = "write the instruction there, or change the card's instruction.from";

/// The wordings of one episode with their shares.
pub(crate) fn find(
    card: &DatasetCard,
    file: &Container,
    path: &Path,
    group: &str,
) -> Result<Vec<Instruction>, EpisodeError> {
    for source in &card.instruction {
        if let Some(mut wordings) = from_source(source, file, path, group)? {
            if card.sentence_case {
                wordings.iter_mut().for_each(|wording| wording.text = as_sentence(&wording.text));
            }
            return Ok(wordings);
        }
    }
    let looked: Vec<String> = card.instruction.iter().map(describe).collect();
    Err(EpisodeError::content(
        path,
        if group.is_empty() { "instruction" } else { group },
        "no instruction",
        looked.join(", or "),
        REMEDY,
    ))
}

fn describe(source: &InstructionSource) -> String {
    match source {
        InstructionSource::Attribute { group, name, .. } => format!("attribute {name} of group {group:?}"),
        InstructionSource::JsonFile { name, .. } => format!("file {name} beside the episode's file"),
        InstructionSource::Array(path) => format!("text {path}"),
        InstructionSource::Folder(_) => "a folder that the card's table names".into(),
        InstructionSource::Text(_) => "the card's text".into(),
    }
}

/// `None` where the episode does not have this source.
fn from_source(
    source: &InstructionSource,
    file: &Container,
    path: &Path,
    group: &str,
) -> Result<Option<Vec<Instruction>>, EpisodeError> {
    match source {
        InstructionSource::Attribute { group: holder, name, json_key } => {
            if !file.has_attribute(holder, name) {
                return Ok(None);
            }
            let text = file.attribute_text(holder, name)?;
            let place = format!("attribute {name} of group {holder:?}");
            let Some(key) = json_key else {
                return wordings(path, &place, &[&Value::String(text)]).map(Some);
            };
            let object = parse(path, &place, &text)?;
            wordings(path, &place, &[member(path, &place, &object, key)?]).map(Some)
        }
        InstructionSource::JsonFile { name, keys } => {
            let beside = path.parent().unwrap_or(Path::new("")).join(name);
            let text = match std::fs::read_to_string(&beside) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    return Err(EpisodeError::open(
                        &beside,
                        "an unreadable file",
                        "the instructions of the episodes in this folder",
                        "check its permissions and that it is UTF-8",
                    )
                    .caused_by(error));
                }
            };
            let object = parse(&beside, "content", &text)?;
            let values: Result<Vec<&Value>, EpisodeError> =
                keys.iter().map(|key| member(&beside, "content", &object, key)).collect();
            wordings(&beside, "content", &values?).map(Some)
        }
        InstructionSource::Array(array) => {
            let array = crate::read::inside(group, array);
            if !file.exists(&array) {
                return Ok(None);
            }
            let text = file.read_text(&array)?;
            wordings(path, &array, &[&Value::String(text)]).map(Some)
        }
        InstructionSource::Folder(table) => {
            Ok(nearest_folder(path, |name| table.get(name).cloned())
                .map(|text| Instruction::only(text.trim())))
        }
        InstructionSource::Text(text) => Ok(Some(Instruction::only(text.trim()))),
    }
}

/// The first answer for the names of the folders above `path`, from the nearest up.
pub(crate) fn nearest_folder<T>(path: &Path, answer: impl Fn(&str) -> Option<T>) -> Option<T> {
    path.ancestors().skip(1).filter_map(|folder| folder.file_name()?.to_str()).find_map(answer)
}

fn parse(path: &Path, place: &str, text: &str) -> Result<Value, EpisodeError> {
    serde_json::from_str(text).map_err(|error| {
        EpisodeError::content(path, place, "text that is no JSON", "a JSON object", REMEDY).caused_by(error)
    })
}

fn member<'a>(path: &Path, place: &str, object: &'a Value, key: &str) -> Result<&'a Value, EpisodeError> {
    object.get(key).ok_or_else(|| {
        let found = match object.as_object() {
            Some(object) => format!("only the keys {:?}", object.keys().collect::<Vec<_>>()),
            None => "no JSON object".into(),
        };
        EpisodeError::content(path, place, found, format!("a key {key:?}"), REMEDY)
    })
}

/// One equal share for each value; the wordings of a list share their value's part.
fn wordings(path: &Path, place: &str, values: &[&Value]) -> Result<Vec<Instruction>, EpisodeError> {
    let fault = |found: String| {
        Err(EpisodeError::content(path, place, found, "a wording, or a list of wordings", REMEDY))
    };
    let mut wordings = Vec::new();
    for value in values {
        let texts: Vec<&Value> = match value {
            Value::Array(list) => list.iter().collect(),
            single => vec![single],
        };
        if texts.is_empty() {
            return fault("an empty list".into());
        }
        let weight = 1.0 / values.len() as f64 / texts.len() as f64;
        for text in texts {
            match text.as_str().map(str::trim) {
                Some("") => return fault("an empty instruction".into()),
                Some(text) => wordings.push(Instruction { weight, text: text.to_owned() }),
                None => return fault(format!("{text}, which is no text")),
            }
        }
    }
    Ok(wordings)
}
