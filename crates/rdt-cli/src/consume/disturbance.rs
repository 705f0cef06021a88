//! The flags of disturbance, under RDT's names, and what they mean to the loader.

use std::path::PathBuf;

use rdt_consumer::{Disturbance, StateMeans};
use rdt_schema::dataset_lists::read_statistics;

use crate::exit::Usage;

/// What training masks and disturbs; defaults are RDT's.
#[derive(Debug, Clone, clap::Args)]
pub struct DisturbanceFlags {
    /// Probability, each on its own, that the control frequency, the state, its mask, an image
    /// or the instruction is masked; 0 masks nothing
    #[arg(long, value_name = "P", default_value_t = 0.1, allow_negative_numbers = true)]
    pub cond_mask_prob: f64,
    /// The probability for images of the external camera; below 0: --cond-mask-prob
    #[arg(long, value_name = "P", default_value_t = -1.0, allow_negative_numbers = true)]
    pub cam_ext_mask_prob: f64,
    /// Signal-to-noise ratio of normal noise on states, in decibels; 40 is a hundredth of the
    /// episode's deviation [default: no noise]
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    pub state_noise_snr: Option<f64>,
    /// Jitter the colours of half of the images, add noise and blur, or both
    #[arg(long)]
    pub image_aug: bool,
    /// Brighten dark images (mean at most 0.15 of full scale) by 1.75
    #[arg(long)]
    pub auto_adjust_image_brightness: bool,
    /// Alter images even where the buffer holds them padded and resized (--frame-size): RDT does it
    /// before the resize
    #[arg(long)]
    pub alter_prepared_images: bool,
    /// RDT's dataset_stat.json, whose means masked states become, for weights that were trained
    /// with it [default: the statistics of the buffer]
    #[arg(long, value_name = "FILE")]
    pub dataset_stat: Option<PathBuf>,
}

impl DisturbanceFlags {
    /// What they ask for.
    ///
    /// # Errors
    /// Wrong usage: a number out of its range, or statistics that cannot be read.
    pub fn disturbance(&self) -> anyhow::Result<Disturbance> {
        check("--cond-mask-prob", self.cond_mask_prob, (0.0..=1.0).contains(&self.cond_mask_prob), "0 to 1")?;
        let external = self.cam_ext_mask_prob;
        check("--cam-ext-mask-prob", external, external <= 1.0, "at most 1, or -1 for --cond-mask-prob")?;
        if let Some(snr) = self.state_noise_snr {
            check("--state-noise-snr", snr, snr.is_finite(), "decibels")?;
        }
        let state_means = match &self.dataset_stat {
            None => StateMeans::Source,
            Some(path) => {
                let statistics = read_statistics(path).map_err(Usage::from_error)?;
                StateMeans::Given(statistics.into_iter().map(|(name, of)| (name, of.state_mean)).collect())
            }
        };
        Ok(Disturbance {
            mask_probability: self.cond_mask_prob,
            external_camera_mask_probability: (external >= 0.0).then_some(external),
            state_noise_snr: self.state_noise_snr,
            augment_images: self.image_aug,
            brighten_dark_images: self.auto_adjust_image_brightness,
            alter_prepared_images: self.alter_prepared_images,
            state_means,
        })
    }
}

fn check(flag: &str, found: f64, is_right: bool, expected: &str) -> anyhow::Result<()> {
    if is_right { Ok(()) } else { Err(Usage::new(format!("{flag} is {found}, expected {expected}"))) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        flags: DisturbanceFlags,
    }

    fn parse(args: &[&str]) -> anyhow::Result<Disturbance> {
        let args = crate::args::normalise(["program"].iter().chain(args).map(Into::into));
        Program::try_parse_from(args)?.flags.disturbance()
    }

    #[test]
    fn defaults_are_those_of_rdt() -> anyhow::Result<()> {
        assert_eq!(parse(&[])?, Disturbance { mask_probability: 0.1, ..Disturbance::default() });
        assert!(parse(&["--cond-mask-prob", "0"])?.is_off());
        Ok(())
    }

    #[test]
    fn flags_are_those_of_rdt() -> anyhow::Result<()> {
        let args =
            ["--cond_mask_prob=0.2", "--cam_ext_mask_prob", "0", "--state_noise_snr", "40", "--image_aug"];
        let expected = Disturbance {
            mask_probability: 0.2,
            external_camera_mask_probability: Some(0.0),
            state_noise_snr: Some(40.0),
            augment_images: true,
            ..Disturbance::default()
        };
        assert_eq!(parse(&args)?, expected);
        assert_eq!(parse(&["--cam-ext-mask-prob", "-1"])?, parse(&[])?);
        Ok(())
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (flag, value) in [
            ("--cond-mask-prob", "1.5"),
            ("--cond-mask-prob", "-0.5"),
            ("--cond-mask-prob", "NaN"),
            ("--cam-ext-mask-prob", "2"),
            ("--cam-ext-mask-prob", "NaN"),
            ("--state-noise-snr", "inf"),
            ("--dataset-stat", "no/such/file.json"),
        ] {
            let error = parse(&[flag, value]).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{flag} {value}: {error}");
            let text = format!("{error:#}");
            assert!(text.contains(flag) || text.contains(value), "{text}");
        }
    }

    #[test]
    fn means_come_from_the_file() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("dataset_stat.json");
        let zeros = vec![0.0; 128];
        let entry = serde_json::json!({
            "dataset_name": "a", "state_mean": vec![0.25; 128], "state_std": zeros, "state_min": zeros,
            "state_max": zeros,
        });
        std::fs::write(&path, serde_json::json!({ "a": entry }).to_string())?;
        let given = parse(&["--dataset-stat", &path.display().to_string()])?.state_means;
        assert_eq!(given, StateMeans::Given([("a".to_owned(), vec![0.25; 128])].into()));
        Ok(())
    }
}
