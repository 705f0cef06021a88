//! Which files below a data set's path hold episodes.
//!
//! Owns the walk and the pattern; opens no file. The result does not depend on the order in which
//! the file system lists folders.

use std::fs;
use std::path::{Path, PathBuf};

use crate::EpisodeError;

/// Files below `root` that fit `pattern`, relative to it, `/` between folders, sorted. Hidden
/// files and folders are left out; links to folders are followed, but not in circles.
pub(crate) fn find(root: &Path, pattern: &str) -> Result<Vec<String>, EpisodeError> {
    let mut found = Vec::new();
    let mut above = Vec::new();
    walk(root, "", pattern, &mut above, &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(
    folder: &Path,
    relative: &str,
    pattern: &str,
    above: &mut Vec<PathBuf>,
    found: &mut Vec<String>,
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
            _ if fits(&relative, pattern) => found.push(relative),
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
        assert_eq!(
            find(root, "*.hdf5")?,
            ["b.hdf5", "dangling.hdf5", "linked/d.hdf5", "task/a.hdf5", "task/deep/c.hdf5"]
        );
        Ok(())
    }
}
