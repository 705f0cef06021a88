//! Which files below a data set's path hold episodes.
//!
//! Owns the walk and the pattern; opens no file. The result does not depend on the order in which
//! the file system lists folders.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::EpisodeError;

/// What the walk found: paths relative to its root, `/` between folders, sorted.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Every name.
    pub(crate) files: Vec<String>,
    /// Those that are further names (symbolic or hard links) of a file, each with the first.
    pub(crate) duplicates: Vec<(String, String)>,
}

/// A file's device and inode; `None` where it cannot be told.
type Identity = Option<(u64, u64)>;

/// Files below `root` that fit `pattern`. Hidden files and folders are left out; links to folders
/// are followed, but not in circles. A file with several names is there once a name, as somebody
/// who makes links to weigh it more wants; that nobody does so unawares, the names are told.
pub(crate) fn find(root: &Path, pattern: &str) -> Result<Found, EpisodeError> {
    let mut names = Vec::new();
    let mut above = Vec::new();
    walk(root, "", pattern, &mut above, &mut names)?;
    names.sort();
    let mut found = Found::default();
    let mut first_names: HashMap<(u64, u64), String> = HashMap::new();
    for (name, identity) in names {
        match identity.map(|identity| (identity, first_names.get(&identity))) {
            Some((_, Some(first))) => found.duplicates.push((name.clone(), first.clone())),
            Some((identity, None)) => _ = first_names.insert(identity, name.clone()),
            None => {}
        }
        found.files.push(name);
    }
    Ok(found)
}

fn walk(
    folder: &Path,
    relative: &str,
    pattern: &str,
    above: &mut Vec<PathBuf>,
    found: &mut Vec<(String, Identity)>,
) -> Result<(), EpisodeError> {
    let unreadable = |cause: std::io::Error| {
        EpisodeError::open(
            folder,
            "a folder that cannot be listed",
            "a readable folder",
            "check its permissions",
        )
        .caused_by(cause)
    };
    let canonical = fs::canonicalize(folder).map_err(unreadable)?;
    if above.contains(&canonical) {
        return Ok(());
    }
    above.push(canonical);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            return Err(EpisodeError::open(
                &path,
                "a name that is not UTF-8",
                "names that a manifest can hold",
                "rename it",
            ));
        };
        if name.starts_with('.') {
            continue;
        }
        let relative = if relative.is_empty() { name } else { format!("{relative}/{name}") };
        // Follows links. One that leads nowhere is listed as a file: it fails when it is opened,
        // and is named then, where leaving it out would lose an episode in silence.
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() => walk(&path, &relative, pattern, above, found)?,
            Ok(about) if !about.is_file() => {}
            about if fits(&relative, pattern) => {
                found.push((relative, about.ok().map(|about| (about.dev(), about.ino()))));
            }
            _ => {}
        }
    }
    above.pop();
    Ok(())
}

/// Whether the last parts of `path` fit `pattern`, part by part.
pub(crate) fn fits(path: &str, pattern: &str) -> bool {
    let mut parts = path.rsplit('/');
    pattern.rsplit('/').all(|pattern| parts.next().is_some_and(|part| part_fits(part, pattern)))
}

/// Whether `part` fits a pattern in which `*` stands for any run of characters.
fn part_fits(part: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return part == pattern;
    };
    let Some(part) = part.strip_prefix(head) else {
        return false;
    };
    // The first star takes as little as possible; trying every end settles the others.
    (0..=part.len()).filter(|&end| part.is_char_boundary(end)).any(|end| part_fits(&part[end..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_end_of_a_path() {
        assert!(fits("a/b/demo.hdf5", "*.hdf5"));
        assert!(fits("a/b/demo.hdf5", "b/*.hdf5"));
        assert!(fits("a/b/demo.hdf5", "*/b/d*o.hdf5"));
        assert!(!fits("demo.hdf5", "b/*.hdf5"));
        assert!(!fits("a/c/demo.hdf5", "b/*.hdf5"));
        assert!(!fits("demo.hdf5.tmp", "*.hdf5"));
        assert!(!fits("demo.h5", "*.hdf5"));
        assert!(fits("*", "**") && fits("abab", "*ab") && !fits("aba", "*ab"));
    }

    #[test]
    fn walks_links_once_and_skips_hidden_files() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        fs::create_dir_all(root.join("task/deep"))?;
        fs::create_dir_all(root.join(".cache"))?;
        for file in
            ["b.hdf5", "task/a.hdf5", "task/deep/c.hdf5", ".cache/x.hdf5", "task/.part.hdf5", "notes.txt"]
        {
            fs::write(root.join(file), "")?;
        }
        std::os::unix::fs::symlink(root, root.join("task/deep/up"))?;
        std::os::unix::fs::symlink(root.join("gone.hdf5"), root.join("dangling.hdf5"))?;
        let elsewhere = tempfile::tempdir()?;
        fs::write(elsewhere.path().join("d.hdf5"), "")?;
        std::os::unix::fs::symlink(elsewhere.path(), root.join("linked"))?;
        let found = find(root, "*.hdf5")?;
        assert_eq!(
            found.files,
            ["b.hdf5", "dangling.hdf5", "linked/d.hdf5", "task/a.hdf5", "task/deep/c.hdf5"]
        );
        assert_eq!(found.duplicates, []);
        Ok(())
    }

    #[test]
    fn further_names_of_a_file_are_told() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        fs::create_dir_all(root.join("other"))?;
        fs::write(root.join("b.hdf5"), "")?;
        // The same content in a file of its own is another recording.
        fs::write(root.join("same.hdf5"), "")?;
        std::os::unix::fs::symlink(root.join("b.hdf5"), root.join("a.hdf5"))?;
        fs::hard_link(root.join("b.hdf5"), root.join("other/c.hdf5"))?;
        // A folder by a second name is nothing but second names.
        std::os::unix::fs::symlink(root.join("other"), root.join("again"))?;
        let found = find(root, "*.hdf5")?;
        assert_eq!(found.files, ["a.hdf5", "again/c.hdf5", "b.hdf5", "other/c.hdf5", "same.hdf5"]);
        let duplicates: Vec<(&str, &str)> =
            found.duplicates.iter().map(|(name, first)| (name.as_str(), first.as_str())).collect();
        assert_eq!(
            duplicates,
            [("again/c.hdf5", "a.hdf5"), ("b.hdf5", "a.hdf5"), ("other/c.hdf5", "a.hdf5")]
        );
        Ok(())
    }
}
