//! The flags of following a live buffer, for training and for `bench`.

/// How a live buffer is followed.
#[derive(Debug, Clone, clap::Args)]
pub struct FollowFlags {
    /// Take each sample once, while rdt-produce --follow replaces what was taken; ends when
    /// everything is consumed and no producer works on the buffer
    #[arg(long)]
    pub follow: bool,
    /// With --follow: wait on when everything is consumed and no producer works on the buffer
    #[arg(long, requires = "follow")]
    pub wait: bool,
    /// With --follow: chunks that samples are mixed from
    #[arg(long, value_name = "N", default_value_t = 32, requires = "follow")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub follow_window: u32,
}
