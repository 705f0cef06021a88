//! What a run keeps of its data beside the weights, so that sampling and serving need no buffer.

use serde::{Deserialize, Serialize};

use crate::card::{CardConversion, DatasetCard, Extremes};
use crate::dataset::DatasetSchema;
use crate::error::SchemaError;
use crate::statistics::DatasetStatistics;
use crate::text_file::TextFile;

/// The version of this description that is written and read. Keys may be added to it; unknown ones are
/// ignored.
const VERSION: u32 = 1;

/// The data that a run was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataAbout {
    /// Version of this description.
    pub format_version: u32,
    /// Samples; of a live buffer, those that it had when the run began.
    pub samples: u64,
    /// Digest of the plan that they follow from, 32 hexadecimal digits.
    pub plan_digest: String,
    /// The data sets, in the order of their index in samples.
    pub datasets: Vec<DatasetAbout>,
}

/// One data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetAbout {
    /// Name, control frequency, camera slots, windows with their history of images, filled entries.
    pub schema: DatasetSchema,
    /// Name of its card, as given.
    pub card_name: String,
    /// The card, verbatim.
    pub card: TextFile,
    /// Extremes that the card scales by; none where it needs none.
    pub extremes: Option<Extremes>,
    /// RDT's statistics over the accepted episodes.
    pub statistics: DatasetStatistics,
}

impl DataAbout {
    /// Of these data sets.
    pub fn new(samples: u64, plan_digest: String, datasets: Vec<DatasetAbout>) -> Self {
        Self { format_version: VERSION, samples, plan_digest, datasets }
    }

    /// Refuses a description of another version.
    ///
    /// # Errors
    /// It is one.
    pub fn check(&self) -> Result<(), SchemaError> {
        match self.format_version {
            VERSION => Ok(()),
            found => Err(SchemaError::AboutVersion { found, expected: VERSION }),
        }
    }

    /// A data set by its name.
    pub fn dataset(&self, name: &str) -> Option<&DatasetAbout> {
        self.datasets.iter().find(|dataset| dataset.schema.name == name)
    }
}

impl DatasetAbout {
    /// The card, understood.
    ///
    /// # Errors
    /// It cannot be.
    pub fn card(&self) -> Result<DatasetCard, SchemaError> {
        DatasetCard::from_text(&self.card.text, &self.card.path)
    }

    /// The card's conversions both ways, with the extremes of the data that was trained on.
    ///
    /// # Errors
    /// The card cannot be understood, or scales by extremes that are not there.
    pub fn conversion(&self) -> Result<CardConversion, SchemaError> {
        let card = self.card()?;
        if card.needs_extremes() && self.extremes.is_none() {
            return Err(SchemaError::NoExtremes { dataset: self.schema.name.clone() });
        }
        Ok(CardConversion::new(&card, self.extremes.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::card::ColumnExtremes;
    use crate::config::Config;

    fn about(name: &str) -> Result<DataAbout, Box<dyn Error>> {
        let card = DatasetCard::find(name, None)?;
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/base.yaml");
        let config = Config::from_file(path.as_ref())?;
        let dataset = DatasetAbout {
            schema: card.schema(name, &config),
            card_name: name.into(),
            card: TextFile { path: card.path().to_owned(), text: card.text().to_owned() },
            extremes: None,
            statistics: crate::statistics::StatisticsSum::default().finish(name),
        };
        Ok(DataAbout::new(7, "0".repeat(32), vec![dataset]))
    }

    #[test]
    fn it_comes_back_as_it_was_written_and_later_keys_are_ignored() -> Result<(), Box<dyn Error>> {
        let about = about("libero")?;
        let mut json = serde_json::to_value(&about)?;
        assert_eq!(serde_json::from_value::<DataAbout>(json.clone())?, about);
        json["datasets"][0]["a_key_of_later"] = 1.into();
        assert_eq!(serde_json::from_value::<DataAbout>(json)?, about);
        about.check()?;
        let later = DataAbout { format_version: 2, ..about };
        assert!(later.check().is_err());
        Ok(())
    }

    #[test]
    fn a_card_that_scales_needs_its_extremes() -> Result<(), Box<dyn Error>> {
        let mut about = about("maniskill")?;
        let without = about.datasets[0].conversion().err().ok_or("accepted")?.to_string();
        assert!(without.contains("maniskill") && without.contains("min_max"), "{without}");
        let card = about.datasets[0].card()?;
        let of = |mappings: &[crate::card::Mapping]| {
            let all = mappings.iter().map(|mapping| {
                let width = mapping.input_width();
                mapping.scales().then(|| ColumnExtremes { min: vec![-1.0; width], max: vec![3.0; width] })
            });
            all.collect()
        };
        about.datasets[0].extremes = Some(Extremes { state: of(&card.state), action: of(&card.action) });
        assert!(about.datasets[0].conversion().is_ok());
        Ok(())
    }

    #[test]
    fn a_robots_state_becomes_what_an_episodes_row_does() -> Result<(), Box<dyn Error>> {
        let conversion = about("libero")?.datasets[0].conversion()?;
        let position = [0.1, -0.2, 0.9];
        let angle = [0.0, 0.0, 0.0];
        let gripper = [0.04, -0.04];
        let array = |name: &str| -> Option<&[f64]> {
            match name {
                "obs/ee_pos" => Some(&position),
                "obs/ee_ori" => Some(&angle),
                "obs/gripper_states" => Some(&gripper),
                _ => None,
            }
        };
        let (vector, mask) = conversion.state_to_unified(&array)?;
        assert_eq!(vector[30..33], [0.1, -0.2, 0.9]);
        assert_eq!(mask.iter().sum::<f32>(), 10.0);
        assert_eq!(vector[10], 1.0, "open");
        let missing = conversion.state_to_unified(&|_| None).err().ok_or("accepted")?.to_string();
        assert!(missing.contains("is missing"), "{missing}");
        let narrow = |name: &str| array(name).map(|row| &row[..1]);
        assert!(conversion.state_to_unified(&narrow).is_err());
        Ok(())
    }
}
