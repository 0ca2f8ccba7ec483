//! YAML with positions, and with limits: what is read may be hostile.
//!
//! The parser's events are read instead of a finished tree, because a tree repeats what aliases stand for, and a file of
//! a few hundred bytes can stand for more than there is memory.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::Value;

use super::finding::{Position, Span};

/// Deeper than this no entity is; Backstage's own are seven deep.
const DEEPEST: usize = 64;
/// More values than this, repeated ones included, no file needs.
const MOST_NODES: usize = 50_000;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) content: Content,
    /// How many values it holds, itself included.
    size: usize,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// A single value, as it is written but for quotes and escapes.
    Scalar { text: String, kind: ScalarKind },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values, in the file's order.
    Mapping(Vec<(Node, Node)>),
}

/// What a single value counts as, by YAML's core schema: <https://yaml.org/spec/1.2.2/#103-core-schema>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalarKind {
    Text,
    Null,
    Boolean,
    Number,
}

impl ScalarKind {
    fn of(text: &str, style: ScalarStyle) -> Self {
        if style != ScalarStyle::Plain {
            return Self::Text;
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Self::Boolean,
            _ if is_number(text) => Self::Number,
            _ => Self::Text,
        }
    }
}

fn is_number(text: &str) -> bool {
    let all = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    // Rust also takes `inf`, `nan` and `infinity`.
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned.parse::<f64>().is_ok()
}

impl Node {
    /// The text of a single value, whatever it counts as.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What a single value counts as.
    pub(super) fn scalar_kind(&self) -> Option<ScalarKind> {
        match &self.content {
            Content::Scalar { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// The keys and values of a mapping; of anything else there are none.
    pub(super) fn entries(&self) -> &[(Self, Self)] {
        match &self.content {
            Content::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The parts of a list; of anything else there are none.
    pub(super) fn items(&self) -> &[Self] {
        match &self.content {
            Content::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let mut entries = self.entries().iter();
        entries
            .find(|(found, _)| found.text() == Some(key))
            .map(|(_, value)| value)
    }

    /// Whether nothing is said here.
    pub(super) fn is_null(&self) -> bool {
        self.scalar_kind() == Some(ScalarKind::Null)
    }

    /// As JSON. The depth is bounded, see [`read`].
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar { text, kind } => match kind {
                ScalarKind::Null => Value::Null,
                ScalarKind::Boolean => Value::Bool(text.eq_ignore_ascii_case("true")),
                // Numbers as they are written: what is read from them is their text.
                ScalarKind::Text | ScalarKind::Number => Value::String(text.clone()),
            },
            Content::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Content::Mapping(entries) => {
                let named =
                    |(key, value): &(Self, Self)| Some((key.text()?.to_owned(), value.to_json()));
                Value::Object(entries.iter().filter_map(named).collect())
            }
        }
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The documents up to the first problem.
    pub(super) documents: Vec<Node>,
    /// Keys that are in a mapping already: where, which, and the line of the first.
    pub(super) repeated: Vec<(Span, String, usize)>,
    /// Why there is no more to read.
    pub(super) problem: Option<Problem>,
}

/// Why a file cannot be read to its end.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: Position,
    /// It is YAML, but too much of it.
    pub(super) is_limit: bool,
    pub(super) what: String,
}

/// A list or mapping that has not ended.
struct Open {
    start: Position,
    anchor: usize,
    key: Option<Node>,
    content: Content,
}

/// Reads every document of `text`. Takes time and memory in proportion to its length.
pub(super) fn read(text: &str) -> Contents {
    let mut contents = Contents::default();
    if let Err(problem) = read_into(text, &mut contents) {
        contents.problem = Some(problem);
    }
    contents
}

fn read_into(text: &str, contents: &mut Contents) -> Result<(), Problem> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchored: BTreeMap<usize, Node> = BTreeMap::new();
    let mut nodes = 0;
    let limit = |at, what: String| Problem {
        at,
        is_limit: true,
        what,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = position(*error.marker());
            // The parser has a limit of its own, which is further away but reached sooner: it looks ahead.
            if error.info() == "recursion limit exceeded" {
                return limit(at, too_deep());
            }
            Problem {
                at,
                is_limit: false,
                what: error.info().to_owned(),
            }
        })?;
        let start = position(span.start);
        let span = Span {
            start,
            end: position(span.end),
        };
        let (anchor, node, more) = match event {
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEEPEST => {
                return Err(limit(start, too_deep()));
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open::new(start, anchor, Content::Sequence(Vec::new())));
                continue;
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open::new(start, anchor, Content::Mapping(Vec::new())));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(ended) = open.pop() else { continue };
                contents.repeated.extend(repeated(&ended.content));
                // What it holds has been counted.
                (ended.anchor, ended.end(span.end), 1)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.suffix == "str");
                let style = if is_text {
                    ScalarStyle::DoubleQuoted
                } else {
                    style
                };
                let content = Content::Scalar {
                    kind: ScalarKind::of(&text, style),
                    text: text.into_owned(),
                };
                let node = Node {
                    span,
                    content,
                    size: 1,
                };
                (anchor, node, 1)
            }
            Event::Alias(anchor) => match anchored.get(&anchor) {
                Some(node) if nodes + node.size <= MOST_NODES => (0, node.clone(), node.size),
                Some(_) => return Err(limit(start, "its aliases stand for too much".to_owned())),
                None => return Err(limit(start, "this alias stands for itself".to_owned())),
            },
            Event::DocumentStart(_) => {
                anchored.clear();
                continue;
            }
            _ => continue,
        };
        nodes += more;
        if anchor > 0 {
            // A copy, which takes memory as well.
            nodes += node.size;
        }
        if nodes > MOST_NODES {
            return Err(limit(
                start,
                format!("these are more than {MOST_NODES} values"),
            ));
        }
        if anchor > 0 {
            anchored.insert(anchor, node.clone());
        }
        match open.last_mut() {
            Some(parent) => parent.add(node),
            None => contents.documents.push(node),
        }
    }
    Ok(())
}

fn too_deep() -> String {
    format!("this is more than {DEEPEST} levels deep")
}

impl Open {
    fn new(start: Position, anchor: usize, content: Content) -> Self {
        Self {
            start,
            anchor,
            key: None,
            content,
        }
    }

    fn add(&mut self, node: Node) {
        match &mut self.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping(entries) => match self.key.take() {
                None => self.key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            Content::Scalar { .. } => unreachable!("only lists and mappings are opened"),
        }
    }

    fn end(self, end: Position) -> Node {
        let size = match &self.content {
            Content::Scalar { .. } => 0,
            Content::Sequence(items) => items.iter().map(|item| item.size).sum(),
            Content::Mapping(entries) => entries
                .iter()
                .map(|(key, value)| key.size + value.size)
                .sum(),
        };
        Node {
            span: Span {
                start: self.start,
                end: end.max(self.start),
            },
            content: self.content,
            size: size + 1,
        }
    }
}

fn repeated(content: &Content) -> Vec<(Span, String, usize)> {
    let Content::Mapping(entries) = content else {
        return Vec::new();
    };
    let mut first: HashMap<&str, usize> = HashMap::new();
    let mut repeated = Vec::new();
    for (key, _) in entries {
        let Some(text) = key.text() else { continue };
        match first.get(text) {
            Some(line) => repeated.push((key.span, text.to_owned(), *line)),
            None => {
                first.insert(text, key.span.start.line);
            }
        }
    }
    repeated
}

/// The parser counts lines from one and columns from nought.
fn position(marker: saphyr_parser::Marker) -> Position {
    Position {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Node {
        let contents = read(text);
        assert!(contents.problem.is_none(), "{:?}", contents.problem);
        let [document] = contents.documents.try_into().unwrap();
        document
    }

    #[test]
    fn values_know_where_they_stand() {
        let root = only("a:\n  \"b c\": ünïcode # why\n  d: [1, \"two\"]\n");
        let inner = root.get("a").unwrap();
        let value = inner.get("b c").unwrap();
        assert_eq!((value.span.start.line, value.span.start.column), (2, 10));
        assert_eq!((value.span.end.line, value.span.end.column), (2, 17));
        let two = &inner.get("d").unwrap().items()[1];
        assert_eq!((two.span.start.line, two.span.start.column), (3, 10));
        assert_eq!((two.span.end.line, two.span.end.column), (3, 15));
    }

    #[test]
    fn kinds_by_the_core_schema() {
        use ScalarKind::{Boolean, Null, Number, Text};
        for (text, kind) in [
            ("5432", Number),
            ("-1", Number),
            ("+12.5e3", Number),
            ("0x1F", Number),
            ("0o17", Number),
            (".5", Number),
            (".inf", Number),
            ("-.INF", Number),
            (".nan", Number),
            ("true", Boolean),
            ("FALSE", Boolean),
            ("~", Null),
            ("null", Null),
            ("yes", Text),
            ("nan", Text),
            ("inf", Text),
            ("1.2.3", Text),
            ("0xg", Text),
            ("'5432'", Text),
            ("!!str 5432", Text),
            ("a:b:c", Text),
            ("2026-11-25", Text),
        ] {
            assert_eq!(only(text).scalar_kind(), Some(kind), "{text}");
        }
        assert!(only("a:\n").get("a").unwrap().is_null());
    }

    #[test]
    fn anchors_stand_for_what_they_name() {
        let root = only("a: &x { k: v }\nb: *x\n");
        assert_eq!(root.get("b").unwrap().get("k").unwrap().text(), Some("v"));
    }

    #[test]
    fn bombs_do_not_go_off() {
        let mut bomb = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned()];
        bomb.extend((1..30).map(|level| {
            let below = format!("*a{}", level - 1);
            let below = [below.as_str(); 10].join(", ");
            format!("a{level}: &a{level} [{below}]\n")
        }));
        let bomb = bomb.concat();
        let deep = "- ".repeat(200_000);
        let flow = "[".repeat(200_000);
        let maps = "? ".repeat(200_000);
        let wide = "- x\n".repeat(200_000);
        for (text, what) in [
            (bomb.as_str(), "aliases stand for too much"),
            (deep.as_str(), "levels deep"),
            (flow.as_str(), "levels deep"),
            (maps.as_str(), "levels deep"),
            (wide.as_str(), "more than 50000 values"),
            ("a: &a [*a]\n", "stands for itself"),
        ] {
            let problem = read(text).problem.unwrap();
            assert!(problem.what.contains(what), "{problem:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let contents = read("a: 1\n---\nb:\n\tc: d\n");
        assert_eq!(contents.documents.len(), 1);
        let problem = contents.problem.unwrap();
        assert_eq!(problem.at.line, 4, "{problem:?}");
        assert!(!problem.is_limit);
    }

    #[test]
    fn a_key_comes_once() {
        let contents = read("a: 1\nb: { c: 1, c: 2 }\na: 2\n");
        let repeated: Vec<(usize, &str, usize)> = contents
            .repeated
            .iter()
            .map(|(span, key, first)| (span.start.line, key.as_str(), *first))
            .collect();
        assert_eq!(repeated, [(2, "c", 2), (3, "a", 1)]);
    }
}
