//! JSON values as YAML 1.2, of which JSON is a part: only texts that nobody could take for something else go unquoted.

use std::fmt::Write as _;

use serde_json::Value;

/// An object as a block mapping, whose lines but the first begin with so many blanks; no line feed at the end. What is
/// nested is written as JSON.
pub(super) fn mapping(object: &Value, indent: usize) -> String {
    let mut text = String::new();
    for (nth, (key, value)) in object.as_object().into_iter().flatten().enumerate() {
        if nth > 0 {
            let _ = write!(text, "\n{:indent$}", "");
        }
        let _ = write!(text, "{key}: {}", scalar(value));
    }
    text
}

/// An object as a document: a line for each field, and lists of objects as blocks.
pub(super) fn document(object: &Value) -> String {
    let mut text = String::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        let items = value
            .as_array()
            .filter(|items| items.iter().any(Value::is_object));
        match items {
            None => {
                let _ = writeln!(text, "{key}: {}", scalar(value));
            }
            Some(items) => {
                let _ = writeln!(text, "{key}:");
                for item in items {
                    let _ = writeln!(text, "  - {}", mapping(item, 4));
                }
            }
        }
    }
    text
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        value => value.to_string(),
    }
}

/// Whether every reader takes the text for that text. Numbers, dates and the like begin with a digit or a sign.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use saphyr::{LoadableYamlNode as _, Yaml};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reader_gets_back_what_was_written() {
        let texts = [
            "plain-1.x/y",
            "",
            "no",
            "Null",
            "12",
            "1e3",
            "0x1f",
            "2026-11-25",
            "~",
            "- a",
            "a: b",
            "a:b:c",
            "#c",
            "a #b",
            "'q'",
            "\"q\"",
            "a\\b",
            "{x}",
            "[x]",
            "*a",
            "&a",
            "!t",
            "%d",
            "@x",
            "`x`",
            "日本 🦀",
            "a\u{fffd}b",
            " padded ",
            "é",
            ".inf",
            "=",
            "<<",
        ];
        for text in texts {
            let written = format!("- {}\n", mapping(&json!({ "key": text, "other": null }), 2));
            let read =
                Yaml::load_from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
            let key = read[0][0].as_mapping_get("key").and_then(Yaml::as_str);
            assert_eq!(key, Some(text), "{written}");
        }
    }

    #[test]
    fn lists_of_objects_are_blocks() {
        let value =
            json!({ "a": "x", "list": [{ "b": "1", "c": null }, { "b": "d" }], "empty": [] });
        let written = document(&value);
        assert_eq!(
            written,
            "a: x\nempty: []\nlist:\n  - b: \"1\"\n    c: null\n  - b: d\n"
        );
        let read = Yaml::load_from_str(&written).unwrap();
        assert_eq!(
            read[0].as_mapping_get("list").unwrap()[1]
                .as_mapping_get("b")
                .and_then(Yaml::as_str),
            Some("d")
        );
    }

    #[test]
    fn what_is_nested_is_json() {
        let value = json!({ "links": [{ "title": "a: b", "url": "https://x.example/#y" }], "none": [], "yes": true });
        let written = mapping(&value, 0);
        let read = Yaml::load_from_str(&written).unwrap();
        let link = &read[0].as_mapping_get("links").unwrap()[0];
        assert_eq!(
            link.as_mapping_get("url").and_then(Yaml::as_str),
            Some("https://x.example/#y")
        );
        assert_eq!(
            read[0].as_mapping_get("yes").and_then(Yaml::as_bool),
            Some(true)
        );
    }
}
