//! The cards that ship with the programs, and where cards are looked for.

use std::path::{Path, PathBuf};

use crate::card::DatasetCard;
use crate::error::SchemaError;

/// Names and texts of the shipped cards: they are part of the program, so an installed one finds
/// them without the repository.
pub const SHIPPED: [(&str, &str); 3] = [
    ("libero", include_str!("../../../../configs/datasets/libero.yaml")),
    ("agilex", include_str!("../../../../configs/datasets/agilex.yaml")),
    ("maniskill", include_str!("../../../../configs/datasets/maniskill.yaml")),
];

pub(super) fn find(name: &str, config_dir: Option<&Path>) -> Result<DatasetCard, SchemaError> {
    let by_path = name.contains(['/', '\\']) || name.ends_with(".yaml") || name.ends_with(".yml");
    if by_path {
        return DatasetCard::from_file(Path::new(name));
    }
    let relative = Path::new("datasets").join(format!("{name}.yaml"));
    let folders = config_dir.map(Path::to_path_buf).into_iter().chain([PathBuf::from("configs")]);
    let mut looked = Vec::new();
    for folder in folders {
        let path = folder.join(&relative);
        if path.is_file() {
            return DatasetCard::from_file(&path);
        }
        looked.push(path.display().to_string());
    }
    if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return DatasetCard::from_text(text, &Path::new("configs").join(&relative));
    }
    let shipped = SHIPPED.map(|(name, _)| name).join(", ");
    Err(SchemaError::Value {
        path: PathBuf::from(looked.join(" or ")),
        field: "dataset card".into(),
        found: format!("{name:?}, of which there is no file"),
        expected: format!(
            "a card: one of the shipped ones ({shipped}), the path of a .yaml file, or NAME:CARD=PATH with \
             such a card; configs/README.md says how to write one"
        ),
    })
}
