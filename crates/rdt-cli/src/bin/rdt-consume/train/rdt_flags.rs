//! RDT's training flags that mean nothing here, so that its command lines are understood: each is
//! accepted and answered, or refused with what to do instead.

use rdt_cli::exit::Usage;

/// Hidden from the help: `docs/training.md` lists them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RdtFlags {
    /// Accepted: weights, moments and gradient are not divided between devices
    #[arg(long, hide = true, value_name = "FILE")]
    pub deepspeed: Option<String>,
    /// Accepted: one process trains
    #[arg(long, hide = true, allow_negative_numbers = true)]
    pub local_rank: Option<i64>,
    /// Accepted: a new gradient takes the place of the old one
    #[arg(long, hide = true)]
    pub set_grads_to_none: bool,
    /// Accepted: RDT itself does not read it
    #[arg(long, hide = true)]
    pub alpha: Option<f64>,
    /// Refused: moments are f32
    #[arg(long, hide = true)]
    pub use_8bit_adam: bool,
    /// Refused: nothing is uploaded
    #[arg(long, hide = true)]
    pub push_to_hub: bool,
    /// Refused: nothing is uploaded
    #[arg(long, hide = true)]
    pub hub_token: Option<String>,
    /// Refused: nothing is uploaded
    #[arg(long, hide = true)]
    pub hub_model_id: Option<String>,
}

impl RdtFlags {
    /// What the log says of those that were given.
    ///
    /// # Errors
    /// Wrong usage: one that asks for something that does not happen here.
    pub(crate) fn notes(&self) -> anyhow::Result<Vec<String>> {
        if self.use_8bit_adam {
            return Err(Usage::new(
                "--use-8bit-adam is not there: moments are f32; --gradient-checkpointing saves more memory",
            ));
        }
        if self.push_to_hub || self.hub_token.is_some() || self.hub_model_id.is_some() {
            return Err(Usage::new(
                "--push-to-hub, --hub-token and --hub-model-id are not there: nothing is uploaded; \
                 `rdt-consume export-weights` writes the folder that can be",
            ));
        }
        let given = [
            (self.deepspeed.is_some(), "--deepspeed: not needed, one device holds everything"),
            (self.local_rank.is_some(), "--local-rank: not needed, one process trains"),
            (
                self.set_grads_to_none,
                "--set-grads-to-none: not needed, there are no gradients to set to zero",
            ),
            (self.alpha.is_some(), "--alpha: no effect, as in RDT, which does not read it"),
        ];
        Ok(given.into_iter().filter(|(given, _)| *given).map(|(_, note)| note.to_owned()).collect())
    }
}
