//! Numbers for a person.

/// With commas between groups of three digits.
///
/// ```
/// assert_eq!(rdt_inspect::number::grouped(1234567), "1,234,567");
/// ```
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size with a decimal unit, as disks are sold.
///
/// ```
/// assert_eq!(rdt_inspect::number::bytes(27_300.0), "27.3 KB");
/// ```
pub fn bytes(bytes: f64) -> String {
    let mut size = bytes;
    for unit in ["B", "KB", "MB", "GB", "TB"] {
        if size < 1000.0 {
            return if unit == "B" { format!("{size:.0} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.1} PB")
}

/// `1 chunk`, `2 chunks`.
///
/// ```
/// assert_eq!(rdt_inspect::number::counted(1, "chunk"), "1 chunk");
/// assert_eq!(rdt_inspect::number::counted(5000, "chunk"), "5,000 chunks");
/// ```
pub fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}
