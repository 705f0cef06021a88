//! Finding groups by a pattern, in the order in which people count.

use std::cmp::Ordering;

use hdf5::LocationType;

use super::library::library;
use super::source::SourceFile;
use crate::EpisodeError;

/// Groups whose path matches `pattern`, in natural order.
pub(super) fn matching(file: &SourceFile, pattern: &str) -> Result<Vec<String>, EpisodeError> {
    let mut found = vec![String::new()];
    for component in pattern.split('/').filter(|c| !c.is_empty()) {
        let mut deeper = Vec::new();
        for parent in &found {
            children(file, parent, component, &mut deeper)?;
        }
        found = deeper;
    }
    found.sort_by(|a, b| natural_order(a, b));
    Ok(found)
}

/// Whether a group or array is at that path.
pub(super) fn exists(file: &SourceFile, place: &str) -> bool {
    place.is_empty() || library(|| file.library.loc_type_by_name(place)).is_ok()
}

fn children(
    file: &SourceFile,
    parent: &str,
    pattern: &str,
    found: &mut Vec<String>,
) -> Result<(), EpisodeError> {
    let below = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
    let listed = library(|| {
        let is_group =
            |path: &str| file.library.loc_type_by_name(path).is_ok_and(|t| t == LocationType::Group);
        if !pattern.contains('*') {
            let path = below(pattern);
            found.extend(is_group(&path).then_some(path));
            return Ok(());
        }
        let names = if parent.is_empty() {
            file.library.member_names()
        } else {
            file.library.group(parent)?.member_names()
        };
        let matching = names?.into_iter().filter(|name| matches(pattern, name)).map(|name| below(&name));
        found.extend(matching.filter(|path| is_group(path)));
        Ok(())
    });
    listed.map_err(|message| {
        let place = if parent.is_empty() { "/" } else { parent };
        file.fault(
            place,
            "a group that cannot be listed",
            "a readable group",
            "copy or record the file again",
        )
        .caused_by(message)
    })
}

/// Whether `name` is `pattern` with any run of characters in the place of each `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut rest = rest;
    while let Some((middle, after)) = rest.split_once('*') {
        let Some(at) = name.find(middle) else { return false };
        name = &name[at + middle.len()..];
        rest = after;
    }
    name.ends_with(rest)
}

/// Digits compare as numbers, the rest as text: `demo_2` is before `demo_10`.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    while let (Some(p), Some(q)) = (x.chars().next(), y.chars().next()) {
        if p.is_ascii_digit() && q.is_ascii_digit() {
            let (left, right) = (leading_digits(&mut x), leading_digits(&mut y));
            let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
            if order.is_ne() {
                return order;
            }
        } else if p == q {
            (x, y) = (&x[p.len_utf8()..], &y[q.len_utf8()..]);
        } else {
            return p.cmp(&q);
        }
    }
    // Equal as numbers but not as text (`1` and `01`): any fixed order.
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// Takes the digits at the front, without leading zeros.
fn leading_digits<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let digits = &text[..end];
    *text = &text[end..];
    digits.trim_start_matches('0')
}
