//! Searches over the source: words that belong elsewhere.
//!
//! A library names settings as `rdt_schema::Setting` and leaves it to the program whether that is a flag.
//! A program is thin: it says what it wants in values, and a library opens sources and makes loaders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::steps::root;

/// The crates whose messages name no flags.
const LIBRARIES: [&str; 11] = [
    "schema", "image", "episode", "chunk", "buffer", "producer", "consumer", "data", "model", "train",
    "inspect",
];
/// What programs do not do themselves; `bench` measures the loader, and so makes one.
const LIBRARIES_WORK: [&str; 4] = ["Loader::", "Buffer::open", "DirectSamples", "LoaderOptions"];

/// Searches for both.
///
/// # Errors
/// Something was found, and where; or a file cannot be read.
pub(crate) fn check() -> Result<()> {
    let mut found = Vec::new();
    for name in LIBRARIES {
        let crate_dir = format!("crates/rdt-{name}/src");
        if !root().join(&crate_dir).is_dir() {
            continue;
        }
        for file in sources(&root().join(crate_dir))? {
            flags(&read(&file)?).into_iter().for_each(|line| {
                found
                    .push(format!("{}:{line}: a flag in a library; use rdt_schema::Setting", file.display()));
            });
        }
    }
    for file in sources(&root().join("crates/rdt-cli/src"))? {
        if file.components().any(|part| part.as_os_str().to_string_lossy().starts_with("bench")) {
            continue;
        }
        library_work(&read(&file)?).into_iter().for_each(|(line, what)| {
            found.push(format!(
                "{}:{line}: {what} in a program; rdt-data and rdt-inspect do that",
                file.display()
            ));
        });
    }
    if found.is_empty() { Ok(()) } else { bail!("words in the wrong place:\n  {}", found.join("\n  ")) }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The source files of a folder, those of tests left out.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name == "tests" || name.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The code of a file by number of its line, without comments and without what follows `mod tests`.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim() != "mod tests {");
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(at, line)| (at + 1, line))
}

/// Lines that name a flag, unless as part of a command of one of the programs.
fn flags(text: &str) -> Vec<usize> {
    let mut in_command = false;
    let mut found = Vec::new();
    for (number, line) in code(text) {
        let names_program = ["rdt-produce", "rdt-consume", "rdt-buf", "cargo build", "RDT --"]
            .iter()
            .any(|name| line.contains(name));
        let is_flag = |at: usize| {
            let rest = &line.as_bytes()[at + 2..];
            let before = at.checked_sub(1).map(|before| line.as_bytes()[before]);
            before != Some(b'-') && rest.first().is_some_and(u8::is_ascii_lowercase)
        };
        let has_flag = line.match_indices("--").any(|(at, _)| is_flag(at));
        // A command may go on in the next line of a text.
        if has_flag && !names_program && !in_command {
            found.push(number);
        }
        in_command = names_program && line.trim_end().ends_with('\\');
    }
    found
}

/// Lines in which a program does what is a library's.
fn library_work(text: &str) -> Vec<(usize, &'static str)> {
    let in_line = |(number, line): (usize, &str)| {
        LIBRARIES_WORK.into_iter().find(|what| line.contains(what)).map(|what| (number, what))
    };
    code(text).filter_map(in_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_in_code_are_found_and_commands_are_not() {
        let text = "// --a-comment\nlet a = \"raise --chunk-size\";\nlet b = \"run rdt-produce --fill-up\";\n\
                    let c = \"run rdt-consume embed \\\n    --images\";\nlet d = i --1;\nlet e = \"---x\";\n";
        assert_eq!(flags(text), [2]);
        assert_eq!(flags("mod tests {\n\"--flag\"\n}"), [0; 0]);
    }

    #[test]
    fn what_a_library_does_is_found_in_a_program() {
        let text = "//! Loader::new\nlet a = Loader::ordered();\nlet b = Buffer::open(dir)?;\nlet c = 1;\n";
        assert_eq!(library_work(text), [(2, "Loader::"), (3, "Buffer::open")]);
    }
}
