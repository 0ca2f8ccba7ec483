//! The picker as lines, for a terminal of any size.

use console::{measure_text_width, truncate_str};

use super::state::{Choice, Picker};

/// How a piece of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    /// Less important.
    Faint,
    /// What is chosen.
    Strong,
    /// What was found by typing.
    Found,
    /// Not a place to try things out.
    Danger,
}

/// A line, as pieces.
pub(super) type Line = Vec<(Look, String)>;

/// What the terminal is to show.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) lines: Vec<Line>,
    /// Where the person types, in the first line, from 0.
    pub(super) cursor: usize,
}

/// The blanks between columns.
const GAP: usize = 2;
/// With fewer lines than this there is no room for details.
const ROOM_FOR_DETAILS: usize = 16;
const MOST_DETAILS: usize = 9;

/// Lays the picker out. Every line is at most `width` wide, and there are at most `height`.
pub(super) fn frame(picker: &mut Picker, width: usize, height: usize) -> Frame {
    let details = if height >= ROOM_FOR_DETAILS {
        (height / 3).min(MOST_DETAILS)
    } else {
        0
    };
    let footer = usize::from(height >= 3);
    let rule = usize::from(details > 0);
    let page = height.saturating_sub(1 + footer + rule + details);
    picker.scroll(page);

    let (prompt, cursor) = prompt(picker, width);
    let mut lines = vec![prompt];
    let columns = Columns::of(picker, width);
    let shown = picker.top..(picker.top + page).min(picker.found.len());
    for place in shown {
        let choice = &picker.choices[picker.found[place]];
        let places = if picker.query.is_empty() {
            Vec::new()
        } else {
            picker.search.places(&choice.name)
        };
        lines.push(columns.row(choice, &places, place == picker.cursor));
    }
    if picker.found.is_empty() && page > 0 {
        let nothing = format!("  nothing here is like `{}`", picker.query);
        lines.push(vec![(Look::Faint, cut(&nothing, width))]);
    }
    // What is below stays where it is while the list gets shorter.
    lines.resize(1 + page, Line::new());
    if details > 0 {
        lines.push(vec![(Look::Faint, "─".repeat(width))]);
        lines.extend(self::details(picker.selected(), width, details));
    }
    if footer > 0 {
        let keys = format!("Enter {} · Esc leave · ^R refresh", picker.verb);
        let status = &picker.status;
        let text = if status.is_empty() {
            keys
        } else if measure_text_width(&keys) + 3 + measure_text_width(status) <= width {
            format!("{keys} · {status}")
        } else {
            // How old the list is matters more than which keys there are.
            format!("{status} · {keys}")
        };
        lines.push(vec![(Look::Faint, cut(&text, width))]);
    }
    lines.truncate(height.max(1));
    Frame { lines, cursor }
}

fn prompt(picker: &Picker, width: usize) -> (Line, usize) {
    let count = format!("{}/{}", picker.found.len(), picker.choices.len());
    let room = width.saturating_sub(2 + GAP + count.len());
    // The end of a long query is what the person is typing.
    let query = tail(&picker.query, room.max(1));
    let cursor = 2 + measure_text_width(query);
    let mut line = vec![
        (Look::Strong, "> ".to_owned()),
        (Look::Plain, query.to_owned()),
    ];
    if room > 0 {
        let blanks = width.saturating_sub(cursor + count.len());
        line.push((Look::Faint, format!("{}{count}", " ".repeat(blanks))));
    }
    (line, cursor.min(width.saturating_sub(1)))
}

struct Columns {
    name: usize,
    environment: usize,
    others: Vec<usize>,
}

impl Columns {
    /// Those that fit: first the name and the environment, then the others from left to right.
    fn of(picker: &Picker, width: usize) -> Self {
        let mut name = 0;
        let mut environment = 0;
        let mut others: Vec<usize> = Vec::new();
        for choice in picker.found.iter().map(|nth| &picker.choices[*nth]) {
            name = name.max(measure_text_width(&choice.name));
            environment = environment.max(measure_text_width(&choice.environment));
            others.resize(others.len().max(choice.columns.len()), 0);
            for (column, text) in others.iter_mut().zip(&choice.columns) {
                *column = (*column).max(measure_text_width(text));
            }
        }
        let room = width.saturating_sub(2);
        let environment = environment.min(room / 2);
        let behind = if environment > 0 {
            environment + GAP
        } else {
            0
        };
        let name = name.min(room.saturating_sub(behind));
        let mut left = room.saturating_sub(name + behind);
        others = others
            .into_iter()
            .map_while(|column| {
                left = left.checked_sub(column + GAP)?;
                Some(column)
            })
            .collect();
        Self {
            name,
            environment,
            others,
        }
    }

    fn row(&self, choice: &Choice, places: &[usize], is_selected: bool) -> Line {
        let plain = if is_selected {
            Look::Strong
        } else {
            Look::Plain
        };
        let mut line = vec![(plain, if is_selected { "▌ " } else { "  " }.to_owned())];
        let name = cut(&choice.name, self.name);
        let blanks = self.name.saturating_sub(measure_text_width(&name));
        line.extend(marked(&name, places, plain));
        line.push((plain, " ".repeat(blanks)));
        if self.environment > 0 {
            let look = if choice.is_production {
                Look::Danger
            } else {
                plain
            };
            line.push((plain, " ".repeat(GAP)));
            line.push((look, padded(&choice.environment, self.environment)));
        }
        for (column, text) in self.others.iter().zip(&choice.columns) {
            let look = if is_selected {
                Look::Strong
            } else {
                Look::Faint
            };
            line.push((
                look,
                format!("{}{}", " ".repeat(GAP), padded(text, *column)),
            ));
        }
        line
    }
}

/// The pieces of a name, some of whose characters were found.
fn marked(name: &str, places: &[usize], plain: Look) -> Line {
    let mut line: Line = Vec::new();
    for (nth, c) in name.chars().enumerate() {
        let look = if places.contains(&nth) {
            Look::Found
        } else {
            plain
        };
        match line.last_mut() {
            Some((last, text)) if *last == look => text.push(c),
            _ => line.push((look, c.to_string())),
        }
    }
    line
}

fn details(choice: Option<&Choice>, width: usize, most: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = choice
        .iter()
        .flat_map(|choice| &choice.details)
        .take(most)
        .map(|(what, value)| {
            let what = format!("  {}", padded(what, 12));
            let value = cut(value, width.saturating_sub(measure_text_width(&what)));
            vec![(Look::Faint, cut(&what, width)), (Look::Plain, value)]
        })
        .collect();
    lines.resize(most, Line::new());
    lines
}

fn cut(text: &str, width: usize) -> String {
    truncate_str(text, width, if width > 0 { "…" } else { "" }).into_owned()
}

fn padded(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let blanks = width.saturating_sub(measure_text_width(&text));
    text + &" ".repeat(blanks)
}

/// The end of a text that fits.
fn tail(text: &str, width: usize) -> &str {
    let mut end = text;
    while measure_text_width(end) > width {
        let mut rest = end.chars();
        rest.next();
        end = rest.as_str();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::super::keys::Key;
    use super::super::state::tests::{choice, picker};
    use super::*;

    fn shown(picker: &mut Picker, width: usize, height: usize) -> Vec<String> {
        let frame = frame(picker, width, height);
        let text = |line: &Line| {
            let text: String = line.iter().map(|(_, text)| text.as_str()).collect();
            text.trim_end().to_owned()
        };
        frame.lines.iter().map(text).collect()
    }

    fn many() -> Picker {
        let names: Vec<String> = (0..40)
            .map(|nth| format!("db-{nth:02}-production"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        picker(&names)
    }

    #[test]
    fn a_usual_terminal() {
        let mut picker = picker(&["payments-staging", "payments-production"]);
        picker.press(Key::Down);
        let lines = shown(&mut picker, 80, 24);
        assert_eq!(lines.len(), 24);
        assert!(lines[0].starts_with('>') && lines[0].ends_with("2/2"));
        assert_eq!(
            lines[1..3],
            [
                "  payments-staging     staging     PostgreSQL  payments",
                "▌ payments-production  production  PostgreSQL  payments",
            ]
        );
        assert_eq!(lines[14], "─".repeat(80));
        assert_eq!(lines[15], "  owner       payments");
        assert_eq!(
            lines[16],
            "  instance    acme:europe-west1:payments-production"
        );
        assert_eq!(
            lines[23],
            "Enter connect · Esc leave · ^R refresh · 3 min old"
        );
    }

    #[test]
    fn a_small_terminal() {
        let mut picker = many();
        picker.press(Key::End);
        let lines = shown(&mut picker, 40, 10);
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[1], "  db-32-production  production");
        assert_eq!(lines[8], "▌ db-39-production  production");
        assert_eq!(lines[9], "3 min old · Enter connect · Esc leave ·…");
    }

    #[test]
    fn no_size_is_too_small_and_no_line_is_too_long() {
        let mut names = many();
        names
            .choices
            .push(choice(&"日本語のとても長い名前".repeat(20), "production"));
        names.choices.push(choice("family-👨‍👩‍👧‍👦-e\u{301}", "staging"));
        names.press(Key::Text('-'));
        for width in [1, 2, 3, 5, 10, 20, 40, 79, 200] {
            for height in [1, 2, 3, 4, 10, 15, 16, 24, 50] {
                let frame = frame(&mut names, width, height);
                assert!(frame.lines.len() <= height && frame.cursor < width);
                for line in &frame.lines {
                    let text: String = line.iter().map(|(_, text)| text.as_str()).collect();
                    let wide = measure_text_width(&text);
                    // The mark of the prompt and of the chosen line is 2 wide.
                    assert!(wide <= width.max(3), "{width}x{height}: {wide} {text:?}");
                }
            }
        }
    }

    #[test]
    fn production_is_marked_and_so_is_what_was_found() {
        let mut picker = picker(&["payments-production"]);
        for c in "prod".chars() {
            picker.press(Key::Text(c));
        }
        let line = &frame(&mut picker, 80, 10).lines[1];
        assert!(line.contains(&(Look::Danger, "production".to_owned())));
        assert!(line.contains(&(Look::Found, "prod".to_owned())), "{line:?}");
    }

    #[test]
    fn the_end_of_a_long_query_is_shown() {
        let mut picker = picker(&["a"]);
        for c in "0123456789".repeat(10).chars() {
            picker.press(Key::Text(c));
        }
        let lines = shown(&mut picker, 30, 10);
        assert!(
            lines[0].starts_with("> ") && lines[0].contains("56789") && lines[0].ends_with("0/1")
        );
        assert!(lines[1].starts_with("  nothing here is like `0123"));
        assert_eq!(frame(&mut picker, 30, 10).cursor, 25);
    }
}
