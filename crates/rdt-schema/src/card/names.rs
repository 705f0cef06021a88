//! Short forms in cards: names with a brace (`arm_joint_{0..6}_pos`, `eef_pos_{x,y,z}`), ranges,
//! and the paths of frames' files with numbers in braces.

use std::ops::RangeInclusive;

use super::{FileTemplate, TemplatePart, Variable};

/// Longest range in a card: the vector has 128 entries, and no array is wider in practice.
const LONGEST_RANGE: usize = 4096;

/// `a..b`, both ends in; `None` where it is anything else, empty or absurdly long.
pub(super) fn range(text: &str) -> Option<RangeInclusive<usize>> {
    let (first, last) = text.split_once("..")?;
    let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last && last - first < LONGEST_RANGE).then_some(first..=last)
}

/// The names that `text` stands for: itself, or one a member of its brace. `None` where a brace
/// is not closed or holds neither a range nor a list.
pub(super) fn expand(text: &str) -> Option<Vec<String>> {
    let Some((head, rest)) = text.split_once('{') else {
        return (!text.contains('}')).then(|| vec![text.to_owned()]);
    };
    let (inside, tail) = rest.split_once('}')?;
    let members: Vec<String> = match range(inside) {
        Some(range) => range.map(|number| number.to_string()).collect(),
        None => inside.split(',').map(|member| member.trim().to_owned()).collect(),
    };
    if members.iter().any(|member| member.is_empty() || member.contains('{')) {
        return None;
    }
    let tails = expand(tail)?;
    Some(
        members
            .iter()
            .flat_map(|member| tails.iter().map(move |tail| format!("{head}{member}{tail}")))
            .collect(),
    )
}

/// Parses a template such as `{episode/100}/{episode%100}/{frame+1}.png`; an error says what is
/// expected instead.
pub(super) fn template(text: &str) -> Result<FileTemplate, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            parts.push(TemplatePart::Text(before.to_owned()));
        }
        let (inside, tail) = after.split_once('}').ok_or("a closing brace")?;
        parts.push(number(inside)?);
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(TemplatePart::Text(rest.to_owned()));
    }
    let by_frame =
        |part: &TemplatePart| matches!(part, TemplatePart::Number { variable: Variable::Frame, .. });
    if !parts.iter().any(by_frame) {
        return Err("a {frame} somewhere: one file a frame".into());
    }
    Ok(FileTemplate { parts, text: text.to_owned() })
}

fn number(inside: &str) -> Result<TemplatePart, String> {
    let expected = || "episode, number or frame, then operations such as /100, %100, +1 or -1".to_owned();
    let end = inside.find(['+', '-', '/', '%']).unwrap_or(inside.len());
    let (name, mut rest) = inside.split_at(end);
    let variable = match name.trim() {
        "episode" => Variable::Episode,
        "number" => Variable::Number,
        "frame" => Variable::Frame,
        _ => return Err(expected()),
    };
    let mut operations = Vec::new();
    while let Some(operation) = rest.chars().next() {
        let operand_text = &rest[1..];
        let end = operand_text.find(['+', '-', '/', '%']).unwrap_or(operand_text.len());
        let operand: u64 = operand_text[..end].trim().parse().map_err(|_| expected())?;
        if operand == 0 && matches!(operation, '/' | '%') {
            return Err("a divisor other than 0".into());
        }
        operations.push((operation, operand));
        rest = &operand_text[end..];
    }
    Ok(TemplatePart::Number { variable, operations })
}
