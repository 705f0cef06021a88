//! `--recipe`: flags from a file.
//!
//! A recipe is a YAML map from names of `rdt-consume`'s training flags to values. It becomes words of
//! the command line before that is read, so a value is checked as if it had been typed. A flag
//! that is typed goes before the recipe's.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use rdt_cli::exit::Usage;
use serde::Deserialize;

/// The flag itself, for the help; its work is done before flags are read.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RecipeFlag {
    /// Take flags from a file: a path, or the name of one in configs/recipes (libero). Flags given
    /// here go before it
    #[arg(long, value_name = "FILE|NAME")]
    pub recipe: Option<PathBuf>,
}

const FLAG: &str = "recipe";

/// Names and texts of the shipped recipes: part of the program, as cards are.
const SHIPPED: [(&str, &str); 1] = [("libero", include_str!("../../../../../configs/recipes/libero.yaml"))];

/// A value of a recipe.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Switch(bool),
    Whole(i64),
    Number(f64),
    Text(String),
}

/// The words of a command line with those of its recipe, if it names one. `known` knows the flags.
///
/// # Errors
/// Wrong usage: no such recipe, one that is no map of flags to values, or a key that is no flag.
pub(crate) fn expanded(words: Vec<OsString>, known: &Command) -> anyhow::Result<Vec<OsString>> {
    let Some(given) = given(&words) else { return Ok(words) };
    let (path, text) = find(&given)?;
    let wrong = |what: String| Usage::new(format!("recipe {}: {what}", path.display()));
    let recipe: BTreeMap<String, Value> = serde_saphyr::from_str(&text)
        .map_err(|error| wrong(format!("{error}; expected lines of `flag: value`")))?;
    let mut added = Vec::new();
    for (key, value) in recipe {
        let name = key.trim_start_matches("--").replace('_', "-");
        let flag = known.get_arguments().find(|flag| names(flag).any(|known| known == name));
        let Some(flag) = flag.filter(|_| name != FLAG && name != "help" && name != "version") else {
            return Err(wrong(format!("{key} is no flag; expected one of {}", all(known))));
        };
        if words.iter().any(|word| is_given(word, flag)) {
            continue;
        }
        match (flag.get_action(), value) {
            (ArgAction::SetTrue, Value::Switch(true)) => added.push(format!("--{name}")),
            (ArgAction::SetTrue, Value::Switch(false)) => {}
            (ArgAction::SetTrue, _) => {
                return Err(wrong(format!("{key} is a switch, expected true or false")));
            }
            (_, Value::Switch(word)) => added.push(format!("--{name}={}", if word { "yes" } else { "no" })),
            (_, Value::Whole(number)) => added.push(format!("--{name}={number}")),
            (_, Value::Number(number)) => added.push(format!("--{name}={number}")),
            (_, Value::Text(text)) => added.push(format!("--{name}={text}")),
        }
    }
    // Behind the program's name, before what was typed.
    let mut all = words;
    let behind = 1.min(all.len());
    all.splice(behind..behind, added.into_iter().map(OsString::from));
    Ok(all)
}

/// The value of `--recipe` in a command line.
fn given(words: &[OsString]) -> Option<OsString> {
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let Some(rest) = word.to_str().and_then(|word| word.strip_prefix("--recipe")) else { continue };
        match rest.strip_prefix('=') {
            Some(value) => return Some(value.into()),
            None if rest.is_empty() => return words.next().cloned(),
            None => {}
        }
    }
    None
}

/// Path and text of a recipe: a file, or a name, looked up in configs/recipes and among the
/// shipped ones.
fn find(given: &OsStr) -> anyhow::Result<(PathBuf, String)> {
    let path = Path::new(given);
    let name = given.to_str().filter(|name| !name.contains(['/', '.']));
    let named = name.map(|name| Path::new("configs/recipes").join(format!("{name}.yaml")));
    let shipped = SHIPPED.iter().find(|(shipped, _)| Some(*shipped) == name);
    let mut tried = named.iter().map(PathBuf::as_path).chain([path]);
    if let Some(path) = tried.find(|path| path.is_file()) {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Usage::new(format!("recipe {}: cannot be read: {error}", path.display())))?;
        return Ok((path.to_owned(), text));
    }
    match shipped {
        Some((name, text)) => Ok((PathBuf::from(format!("{name} (shipped)")), (*text).to_owned())),
        None => Err(Usage::new(format!(
            "--recipe is {}, expected the path of a file of flags, or one of {}",
            path.display(),
            SHIPPED.map(|(name, _)| name).join(", ")
        ))),
    }
}

/// All names of a flag, without dashes.
fn names(flag: &Arg) -> impl Iterator<Item = String> {
    let aliases = flag.get_all_aliases().unwrap_or_default();
    flag.get_long().into_iter().chain(aliases).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Whether a word of the command line is this flag.
fn is_given(word: &OsStr, flag: &Arg) -> bool {
    let word = word.to_string_lossy();
    let Some(word) = word.strip_prefix("--") else { return false };
    let typed = word.split_once('=').map_or(word, |(name, _)| name);
    names(flag).any(|name| name == typed)
}

/// The flags that a recipe may hold.
fn all(known: &Command) -> String {
    let shown = known.get_arguments().filter(|flag| !flag.is_hide_set()).filter_map(Arg::get_long);
    shown.filter(|name| *name != FLAG).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn expand(recipe: &str, line: &str) -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("mine.yaml");
        std::fs::write(&path, recipe)?;
        let line = line.replace("MINE", &path.display().to_string());
        let known = crate::Cli::command();
        let all = expanded(words(&line), &known)?;
        let all: Vec<String> = all.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        Ok(all.join(" ").replace(&path.display().to_string(), "MINE"))
    }

    #[test]
    fn a_recipe_becomes_flags_and_typed_flags_go_before_it() -> anyhow::Result<()> {
        let recipe = "learning_rate: 1.0e-4\ntrain-batch-size: 32\nscale-lr: true\nimage-aug: false\n\
                      mixed-precision: no\nlr-scheduler: cosine\nconfig: a.yaml\n";
        let line = "x --recipe MINE --buffer b --train-batch-size 8 --config-path=c.yaml";
        assert_eq!(
            expand(recipe, line)?,
            "x --learning-rate=0.0001 --lr-scheduler=cosine --mixed-precision=no --scale-lr --recipe MINE \
             --buffer b --train-batch-size 8 --config-path=c.yaml"
        );
        assert_eq!(expand(recipe, "x --buffer b")?, "x --buffer b");
        assert_eq!(expand("", "x --recipe=MINE")?, "x --recipe=MINE");
        Ok(())
    }

    #[test]
    fn what_is_no_flag_is_refused_with_those_that_are() {
        let said =
            |recipe: &str, line: &str| expand(recipe, line).unwrap_or_else(|error| format!("{error:#}"));
        let unknown = said("learning-rate: 1\nlerning-rate: 2\n", "x --recipe MINE");
        assert!(
            unknown.contains("lerning-rate is no flag") && unknown.contains("learning-rate, "),
            "{unknown}"
        );
        assert!(said("recipe: other\n", "x --recipe MINE").contains("recipe is no flag"));
        assert!(said("scale-lr: 3\n", "x --recipe MINE").contains("expected true or false"));
        assert!(said("- a\n- b\n", "x --recipe MINE").contains("flag: value"));
        assert!(said("", "x --recipe nowhere").contains("one of libero"));
    }

    #[test]
    fn shipped_recipes_hold_flags_of_this_program() -> anyhow::Result<()> {
        for (name, _) in SHIPPED {
            let line = words(&format!("x --recipe {name} --buffer b"));
            let all = expanded(line, &crate::Cli::command())?;
            let cli = <crate::Cli as clap::Parser>::try_parse_from(all)?;
            let train = cli.train;
            assert_eq!(u64::from(train.train_batch_size) * train.gradient_accumulation_steps, 256, "{name}");
            assert_eq!((train.lr_warmup_steps, train.checkpointing_period), (5_000, 2_000));
        }
        Ok(())
    }
}
