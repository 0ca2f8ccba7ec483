//! What went wrong, as psql says it: the server's words, and a caret below the place.

use crate::error::Error;
use crate::sql::{Place, ServerError};

/// Longer lines are cut around the caret.
const WIDEST: usize = 76;

/// The lines to show for an error of a statement.
pub(super) fn lines(error: &Error) -> Vec<String> {
    let Some(server) = ServerError::of(error) else {
        let mut lines = vec![format!("error: {error}")];
        lines.extend(error.causes().iter().map(|cause| format!("  {cause}")));
        lines.extend(
            error
                .next_steps()
                .iter()
                .map(|hint| format!("hint: {hint}")),
        );
        return lines;
    };
    let mut lines = vec![format!("{}:  {server}", server.severity)];
    lines.extend(server.place.iter().flat_map(pointed_at));
    lines.extend(server.detail.iter().map(|text| format!("DETAIL:  {text}")));
    lines.extend(server.hint.iter().map(|text| format!("HINT:  {text}")));
    lines.extend(
        server
            .context
            .iter()
            .map(|text| format!("CONTEXT:  {text}")),
    );
    if server.sqlstate == "25006" {
        lines.push("HINT:  this session is read-only: connect without --read-only".to_owned());
    }
    lines
}

/// The line, and the caret.
fn pointed_at(place: &Place) -> [String; 2] {
    let chars: Vec<char> = place.text.chars().collect();
    let column = place.column.saturating_sub(1).min(chars.len());
    let start = if chars.len() > WIDEST {
        column.saturating_sub(WIDEST / 2)
    } else {
        0
    };
    let end = chars.len().min(start + WIDEST);
    let head = if start > 0 { "..." } else { "" };
    let tail = if end < chars.len() { "..." } else { "" };
    let shown: String = chars[start..end].iter().collect();
    let line = format!("LINE {}: {head}", place.line);
    let before: String = chars[start..column].iter().collect();
    let blanks = console::measure_text_width(&line) + console::measure_text_width(&before);
    [
        format!("{line}{shown}{tail}"),
        format!("{}^", " ".repeat(blanks)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: usize, column: usize, text: &str) -> Place {
        Place {
            line,
            column,
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_caret_is_below_the_place() {
        assert_eq!(
            pointed_at(&place(1, 8, "select nonsense")),
            ["LINE 1: select nonsense", "               ^"]
        );
        assert_eq!(
            pointed_at(&place(2, 4, "日本 x")),
            ["LINE 2: 日本 x", "             ^"]
        );
        assert_eq!(pointed_at(&place(1, 1, "")), ["LINE 1: ", "        ^"]);
    }

    #[test]
    fn long_lines_are_cut_around_it() {
        let text = format!("{}X{}", "a".repeat(200), "b".repeat(200));
        let [line, caret] = pointed_at(&place(1, 201, &text));
        assert_eq!(line.chars().nth(caret.len() - 1), Some('X'));
        assert!(line.len() < 100 && line.starts_with("LINE 1: ...a") && line.ends_with("b..."));
    }
}
