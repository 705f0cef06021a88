//! Command lines as RDT's users write them: its flags have underscores, ours dashes, and
//! both are accepted.

use std::ffi::OsString;

use rdt_schema::Setting;

/// The process's arguments with the underscores of flag names turned into dashes; from here on,
/// messages of libraries name settings as flags.
///
/// Only the name is touched: `--buf_path=/a_b` becomes `--buf-path=/a_b`. Everything after
/// a bare `--` stays as it is.
pub fn normalised() -> Vec<OsString> {
    Setting::spell_with(as_flag);
    normalise(std::env::args_os())
}

/// As [`normalised`], for the given arguments.
pub fn normalise(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut only_values = false;
    args.into_iter()
        .map(|arg| {
            only_values |= arg == "--";
            match arg.to_str() {
                Some(text) if !only_values && text.starts_with("--") => with_dashes(text).into(),
                _ => arg,
            }
        })
        .collect()
}

/// The flag of a setting.
pub fn as_flag(setting: &'static str) -> String {
    format!("--{}", setting.replace('_', "-"))
}

fn with_dashes(flag: &str) -> String {
    match flag.split_once('=') {
        Some((name, value)) => format!("{}={value}", name.replace('_', "-")),
        None => flag.replace('_', "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flag_names_change() {
        let given = ["x", "--n_workers", "4_2", "--a_b=c_d", "-q_r", "--", "--e_f"].map(OsString::from);
        let want = ["x", "--n-workers", "4_2", "--a-b=c_d", "-q_r", "--", "--e_f"].map(OsString::from);
        assert_eq!(normalise(given), want);
    }
}
