//! The direction of crates: what each sees of the others, as the table in ARCHITECTURE.md says, is what
//! cargo knows. An edge that is missing from either side fails.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::steps::root;
use crate::toolchain::Toolchain;

/// Crates, and those of the workspace that each sees.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// The page with the table.
const PAGE: &str = "ARCHITECTURE.md";
/// How its header begins.
const HEADER: &str = "| crate | owns | sees |";

/// Compares the table with the workspace.
///
/// # Errors
/// They differ, and how; or one of them cannot be read.
pub(crate) fn check(tools: &Toolchain) -> Result<()> {
    let output = tools.cargo().args(["metadata", "--format-version", "1", "--no-deps"]).output()?;
    let metadata = serde_json::from_slice(&output.stdout).context("cargo metadata gives no JSON")?;
    let page = root().join(PAGE);
    let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let differences = differences(&of_table(&text)?, &of_metadata(&metadata));
    if differences.is_empty() {
        return Ok(());
    }
    bail!("the table in {PAGE} and the crates differ:\n  {}", differences.join("\n  "))
}

/// The edges that cargo knows: dependencies of programs and libraries, not of tests.
fn of_metadata(metadata: &Value) -> Edges {
    let packages = || metadata["packages"].as_array().into_iter().flatten();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    // Whoever only measures or tests is no part of the picture.
    let is_shown = |name: &str| name != "rdt-benches";
    let members: BTreeSet<String> = packages().map(name).filter(|name| is_shown(name)).collect();
    let seen = |package: &Value| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        normal.map(name).filter(|name| members.contains(name)).collect()
    };
    packages().map(|package| (name(package), seen(package))).filter(|(name, _)| is_shown(name)).collect()
}

/// The edges that the table says: crate in its first column, what it sees in its third.
fn of_table(text: &str) -> Result<Edges> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(HEADER));
    if lines.next().is_none() {
        bail!("{PAGE} has no table that begins with `{HEADER}`");
    }
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut edges = Edges::new();
    for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let (Some(first), Some(third)) = (cells.first(), cells.get(2)) else { continue };
        for name in names(first) {
            edges.insert(name, names(third).into_iter().collect());
        }
    }
    Ok(edges)
}

/// What one says and the other does not.
fn differences(table: &Edges, known: &Edges) -> Vec<String> {
    let mut found = Vec::new();
    let none = BTreeSet::new();
    for name in table.keys().chain(known.keys()).collect::<BTreeSet<_>>() {
        let (said, is) = (table.get(name), known.get(name));
        match (said, is) {
            (None, _) => found.push(format!("{name} has no row; add one that says what it owns and sees")),
            (_, None) => found.push(format!("{name} has a row and is no crate; remove the row")),
            _ => {}
        }
        let (said, is) = (said.unwrap_or(&none), is.unwrap_or(&none));
        for other in is.difference(said) {
            found.push(format!("{name} depends on {other}, which its row does not say"));
        }
        for other in said.difference(is) {
            found.push(format!("the row of {name} says that it sees {other}, and it does not depend on it"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> Value {
        let on = |name: &str, kind: Value| json!({ "name": name, "kind": kind });
        json!({ "packages": [
            { "name": "low", "dependencies": [on("serde", Value::Null)] },
            { "name": "high", "dependencies": [on("low", Value::Null)] },
            { "name": "test", "dependencies": [on("low", Value::Null), on("high", json!("dev"))] },
        ]})
    }

    fn found(rows: &str) -> Result<Vec<String>> {
        let table = format!("# Page\n\n{HEADER} never |\n|---|---|---|---|\n{rows}\n| `not` | here | |\n");
        Ok(differences(&of_table(&table)?, &of_metadata(&metadata())))
    }

    const RIGHT: &str = "| `low` | x | | |\n| `high` | x | `low` | |\n| `test` | x | `low` | |\n";

    #[test]
    fn a_table_that_is_right_passes() -> Result<()> {
        assert_eq!(found(RIGHT)?, [""; 0]);
        Ok(())
    }

    #[test]
    fn edges_and_rows_that_are_missing_or_too_many_are_named() -> Result<()> {
        let missing = found(&RIGHT.replacen("`low` | |\n", "| |\n", 1))?;
        assert!(missing.iter().any(|line| line.contains("high depends on low")), "{missing:?}");
        let more = found(&RIGHT.replacen("| `low` | x | | |", "| `low` | x | `high` | |", 1))?;
        assert!(more.iter().any(|line| line.contains("low says that it sees high")), "{more:?}");
        let row = found(&RIGHT.replacen("| `test` | x | `low` | |\n", "", 1))?;
        assert!(row.iter().any(|line| line.contains("test has no row")), "{row:?}");
        let gone = found(&format!("{RIGHT}| `gone` | x | | |\n"))?;
        assert!(gone.iter().any(|line| line.contains("gone has a row")), "{gone:?}");
        assert!(of_table("# Page").is_err());
        Ok(())
    }
}
