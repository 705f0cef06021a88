//! The figures of several orders, for a person.

use std::fmt::Write;

use serde::Serialize;

use super::measure::Figures;

/// One order and its figures.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What it is called.
    pub name: String,
    /// `ours`, or where the algorithm is published.
    pub source: String,
    /// How it mixes.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The table of `rows`.
pub fn table(rows: &[Row]) -> String {
    let name = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "{:name$}  {:>9} {:>5} {:>8} {:>8} {:>10} {:>8} {:>8}\n",
        "order", "episodes", "p1", "of unif.", "64 bat.", "neighbours", "pairs", "covered"
    );
    let optional = |value: Option<f64>, unit: &str, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}{unit}"))
    };
    for Row { name: called, figures, .. } in rows {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{called:name$}  {:>9.2} {:>5} {:>8} {:>8} {:>10} {:>8} {:>8}",
            figures.distinct_episodes,
            figures.distinct_episodes_p1,
            optional(Some(100.0 * figures.distinct_share), "%", 1),
            optional(figures.distinct_share_of_64_batches.map(|share| 100.0 * share), "%", 1),
            optional(Some(figures.same_episode_neighbours), "x", 2),
            optional(figures.pair_repeat, "x", 2),
            optional(figures.coverage.map(|share| 100.0 * share), "%", 1),
        );
    }
    text
}
