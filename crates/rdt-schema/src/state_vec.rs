//! The unified state vector: which of its 128 entries has which name.
//!
//! The layout is RDT's (`configs/state_vec.py`, table 4 of arXiv 2410.07864): every robot
//! fills the entries that it has, in physical units, and leaves the others zero. A single
//! arm fills the right-hand entries, so the names without a side are the right-hand ones.

/// Width of the unified state vector.
pub const STATE_DIM: usize = 128;

/// First entry of the right arm and of the left arm.
const ARM_OFFSETS: [(&str, usize); 2] = [("right_", 0), ("left_", 50)];

/// The entry that `name` stands for, or `None` if there is no such name.
///
/// ```
/// use rdt_schema::state_vec::index_of;
/// assert_eq!(index_of("gripper_open"), index_of("right_gripper_joint_0_pos"));
/// assert_eq!(index_of("left_eef_angle_5"), Some(88));
/// assert_eq!(index_of("left_eef_angle_6"), None);
/// ```
pub fn index_of(name: &str) -> Option<usize> {
    match name {
        "base_vel_x" => return Some(100),
        "base_vel_y" => return Some(101),
        "base_angular_vel" => return Some(102),
        _ => {}
    }
    for (side, offset) in ARM_OFFSETS {
        if let Some(part) = name.strip_prefix(side) {
            return arm_index(part).map(|index| offset + index);
        }
    }
    arm_index(name)
}

/// The entry of `part` inside one arm's block of 50.
fn arm_index(part: &str) -> Option<usize> {
    let fixed = match part {
        "gripper_open" => 10,
        "gripper_open_vel" => 25,
        "eef_pos_x" => 30,
        "eef_pos_y" => 31,
        "eef_pos_z" => 32,
        "eef_vel_x" => 39,
        "eef_vel_y" => 40,
        "eef_vel_z" => 41,
        "eef_angular_vel_roll" => 42,
        "eef_angular_vel_pitch" => 43,
        "eef_angular_vel_yaw" => 44,
        _ => return numbered_index(part),
    };
    Some(fixed)
}

/// The entry of a name that carries a number: joints and the 6D rotation.
fn numbered_index(part: &str) -> Option<usize> {
    const NUMBERED: [(&str, &str, usize, usize); 5] = [
        ("arm_joint_", "_pos", 0, 10),
        ("gripper_joint_", "_pos", 10, 5),
        ("arm_joint_", "_vel", 15, 10),
        ("gripper_joint_", "_vel", 25, 5),
        ("eef_angle_", "", 33, 6),
    ];
    NUMBERED.iter().find_map(|&(head, tail, first, count)| {
        let digits = part.strip_prefix(head)?.strip_suffix(tail)?;
        let [digit @ b'0'..=b'9'] = digits.as_bytes() else {
            return None;
        };
        let number = usize::from(digit - b'0');
        (number < count).then_some(first + number)
    })
}

/// Every name of the vector with its entry, the sideless ones first, as RDT lists them.
pub fn names() -> Vec<(String, usize)> {
    let mut parts: Vec<String> = Vec::new();
    let numbered = |head: &str, count: usize, tail: &str| -> Vec<String> {
        (0..count).map(|i| format!("{head}{i}{tail}")).collect()
    };
    parts.extend(numbered("arm_joint_", 10, "_pos"));
    parts.extend(numbered("gripper_joint_", 5, "_pos"));
    parts.push("gripper_open".into());
    parts.extend(numbered("arm_joint_", 10, "_vel"));
    parts.extend(numbered("gripper_joint_", 5, "_vel"));
    parts.push("gripper_open_vel".into());
    parts.extend(["x", "y", "z"].map(|axis| format!("eef_pos_{axis}")));
    parts.extend(numbered("eef_angle_", 6, ""));
    parts.extend(["x", "y", "z"].map(|axis| format!("eef_vel_{axis}")));
    parts.extend(["roll", "pitch", "yaw"].map(|axis| format!("eef_angular_vel_{axis}")));
    let sides = ["", "right_", "left_"];
    let arms = sides.iter().flat_map(|side| parts.iter().map(move |part| format!("{side}{part}")));
    let base = ["base_vel_x", "base_vel_y", "base_angular_vel"].map(String::from);
    arms.chain(base)
        .map(|name| {
            let index = index_of(&name).unwrap_or_else(|| unreachable!("{name} is listed above"));
            (name, index)
        })
        .collect()
}

/// The name that a person reads for entry `index`: the one with a side, joints before
/// grippers' numbered joints; `"reserved"` where the vector has no name.
pub fn label_of(index: usize) -> String {
    names()
        .into_iter()
        .filter(|(name, entry)| {
            *entry == index
                && (name.starts_with("right_") || name.starts_with("left_") || name.starts_with("base_"))
        })
        .map(|(name, _)| name)
        .max_by_key(|name| name.contains("gripper_open"))
        .unwrap_or_else(|| "reserved".into())
}

/// A set of entries of the vector: which are filled, and in which order the columns that
/// fill them are stored.
pub type Columns = Vec<u8>;

/// Spreads stored columns over a zeroed vector: `out[columns[i]] = values[i]`.
///
/// `out` is one row of [`STATE_DIM`] entries; entries outside `columns` are set to zero.
pub fn scatter(columns: &[u8], values: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (&column, &value) in columns.iter().zip(values) {
        out[usize::from(column)] = value;
    }
}
