//! Which entries of the unified vector are shown together, and how numbers are written.

/// Entries of one kind: they share a panel and a scale.
pub(super) struct Group {
    /// For a person, such as `right end effector: position`.
    pub(super) title: String,
    /// Entries of the vector with their short names.
    pub(super) entries: Vec<(u8, String)>,
}

/// Kinds of one arm: first entry of the right arm, number of entries, name, short names.
const ARM: [(u8, u8, &str, &str); 8] = [
    (0, 10, "joint positions", ""),
    (10, 5, "gripper", ""),
    (15, 10, "joint velocities", ""),
    (25, 5, "gripper velocity", ""),
    (30, 3, "position", "xyz"),
    (33, 6, "rotation (6D)", ""),
    (39, 3, "velocity", "xyz"),
    (42, 3, "angular velocity", "rpy"),
];
/// Entries between the right arm's and the left arm's.
const LEFT: u8 = 50;

/// Sorts the entries used by states or actions into groups, in the order of the vector.
pub(super) fn groups(state: &[u8], action: &[u8]) -> Vec<Group> {
    let mut entries: Vec<u8> = state.iter().chain(action).copied().collect();
    entries.sort_unstable();
    entries.dedup();
    let mut groups: Vec<Group> = Vec::new();
    for entry in entries {
        let (title, name) = describe(entry);
        match groups.iter_mut().find(|group| group.title == title) {
            Some(group) => group.entries.push((entry, name)),
            None => groups.push(Group { title, entries: vec![(entry, name)] }),
        }
    }
    groups
}

fn describe(entry: u8) -> (String, String) {
    match entry {
        100 => return ("base: velocity".into(), "x".into()),
        101 => return ("base: velocity".into(), "y".into()),
        102 => return ("base: angular velocity".into(), "yaw".into()),
        _ => {}
    }
    for (side, offset) in [("right", 0), ("left", LEFT)] {
        let Some(within) = entry.checked_sub(offset) else { continue };
        if let Some(&(first, _, kind, names)) =
            ARM.iter().find(|&&(first, count, ..)| (first..first + count).contains(&within))
        {
            let position = within - first;
            if within == 10 || within == 25 {
                return (format!("{side} {kind}"), "open".into());
            }
            let name = names.chars().nth(position.into()).map_or(position.to_string(), String::from);
            return (format!("{side} {kind}"), name);
        }
    }
    ("reserved entries".into(), entry.to_string())
}

/// A number in about three digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.1e}");
    }
    let digits = match size {
        s if s >= 100.0 => 0,
        s if s >= 10.0 => 1,
        s if s >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        let short = text.trim_end_matches('0').trim_end_matches('.');
        return if short == "-0" { "0".into() } else { short.into() };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_kind_stand_together() {
        let groups = groups(&[30, 31, 32, 10, 80], &[30, 60, 127]);
        let shown: Vec<(&str, Vec<&str>)> = groups
            .iter()
            .map(|g| (g.title.as_str(), g.entries.iter().map(|(_, name)| name.as_str()).collect()))
            .collect();
        assert_eq!(
            shown,
            [
                ("right gripper", vec!["open"]),
                ("right position", vec!["x", "y", "z"]),
                ("left gripper", vec!["open"]),
                ("left position", vec!["x"]),
                ("reserved entries", vec!["127"]),
            ]
        );
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, -0.0001, 0.25, 12.34, 1234.5, 2.0, -0.0].map(number);
        assert_eq!(shown, ["0", "-1.0e-4", "0.25", "12.3", "1234", "2", "0"]);
    }
}
