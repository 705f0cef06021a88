//! Instructions: what an episode was told to do, in one or several wordings.

use serde::{Deserialize, Serialize};

/// One wording of an episode's instruction, with its share of the draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
pub struct Instruction {
    /// Probability of this wording; the weights of an episode add up to 1.
    pub weight: f64,
    /// The text, as the language encoder gets it.
    pub text: String,
}

impl Instruction {
    /// The only wording of an episode.
    pub fn only(text: impl Into<String>) -> Vec<Self> {
        vec![Self { weight: 1.0, text: text.into() }]
    }

    /// Draws a wording: the one whose share of the unit interval holds `unit` (in [0, 1)).
    ///
    /// Returns the position in `instructions`; the last one if rounding leaves a gap.
    pub fn draw(instructions: &[Self], unit: f64) -> usize {
        let mut reached = 0.0;
        for (position, instruction) in instructions.iter().enumerate() {
            reached += instruction.weight;
            if unit < reached {
                return position;
            }
        }
        instructions.len().saturating_sub(1)
    }
}

/// The form RDT's buffer gives instructions: first letter capital, full stop at the end.
///
/// ```
/// use rdt_schema::instruction::as_sentence;
/// assert_eq!(as_sentence("open the drawer"), "Open the drawer.");
/// assert_eq!(as_sentence("Is it open?"), "Is it open?.");
/// ```
pub fn as_sentence(text: &str) -> String {
    let mut letters = text.chars();
    let mut sentence: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    sentence.push_str(letters.as_str());
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}
