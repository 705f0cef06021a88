//! The exported `base.yaml`.

use super::*;

const TEXT: &str = include_str!("../../../../../configs/base.yaml");

fn edited(text: &str) -> (String, Config) {
    let text =
        base_yaml(text, "base.yaml".as_ref(), "/a \"b\"/buf".as_ref(), 7, 32).expect("a configuration");
    let config = Config::from_text(&text, "base.yaml".as_ref()).expect("a configuration");
    (text, config)
}

fn expect_edited(config: &Config) {
    assert_eq!(config.dataset.buf_path.as_deref(), Some(Path::new("/a \"b\"/buf")));
    assert_eq!((config.dataset.buf_num_chunks, config.dataset.buf_chunk_size), (7, 32));
}

#[test]
fn only_place_and_size_change() {
    let (text, config) = edited(TEXT);
    expect_edited(&config);
    let mut original = Config::from_text(TEXT, "base.yaml".as_ref()).expect("a configuration");
    original.dataset = config.dataset.clone();
    assert_eq!(config, original);
    let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('#')).count();
    assert_eq!(comments(&text), comments(TEXT));
}

#[test]
fn a_missing_place_is_added() {
    let without: Vec<&str> = TEXT.lines().filter(|line| !line.trim_start().starts_with("buf_path")).collect();
    expect_edited(&edited(&without.join("\n")).1);
}

#[test]
fn other_styles_are_written_anew() {
    let config = Config::from_text(TEXT, "base.yaml".as_ref()).expect("a configuration");
    let one_line = serde_json::to_string(&config).expect("json");
    expect_edited(&edited(&one_line).1);
}
