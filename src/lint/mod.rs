//! The annotation contract, checked before it is in the catalog: what is written in a `catalog-info.yaml`, with lines.
//!
//! The contract itself is in [`crate::target`] and [`Conventions`]; here it is asked the same questions with the same
//! functions, so that what passes here can be connected to. Around it are the few of Backstage's own rules that make an
//! entity disappear, and what must not be in a catalog at all. The input is other people's, and may be hostile.

mod database;
mod document;
mod finding;
mod form;
mod sarif;
mod secrets;
mod yaml;

pub use finding::{Finding, Position, RULES, Rule, Severity, Span};
pub use sarif::sarif;

use std::collections::BTreeMap;

use crate::catalog::{Conventions, Entity, EntityRef};
use crate::error::printable;
use document::{Document, Found};
use finding::{
    CONTROL_CHARACTER, DUPLICATE_ENTITY, DUPLICATE_KEY, SECRET, YAML_LIMIT, YAML_SYNTAX,
};

/// Larger than this, no file of a catalog is; the descriptions of a thousand entities are smaller.
const LARGEST_FILE: usize = 2 << 20;
/// What is further to the right is not shown.
const LONGEST_LINE: usize = 2_000;
/// So many findings in a file are enough to see that something is wrong with all of it.
const MOST_FINDINGS: usize = 1_000;

/// Checks files, one after the other, and what they have to do with each other.
#[derive(Debug)]
pub struct Linter {
    conventions: Conventions,
    seen: BTreeMap<EntityRef, (String, usize)>,
    report: Report,
}

/// What was found, in the order of the files and of their lines.
#[derive(Debug, Default)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
    /// How many files were read.
    pub files: usize,
    /// How many entities are in them.
    pub entities: usize,
    /// How many of these are databases.
    pub databases: usize,
}

impl Report {
    /// How many findings are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        let of_severity = |finding: &&Finding| finding.rule.severity == severity;
        self.findings.iter().filter(of_severity).count()
    }
}

impl Linter {
    /// Checks against these conventions.
    pub fn new(conventions: Conventions) -> Self {
        Self {
            conventions,
            seen: BTreeMap::new(),
            report: Report::default(),
        }
    }

    /// Checks a file.
    pub fn file(&mut self, name: &str, bytes: &[u8]) {
        self.report.files += 1;
        let mut source = Source::new(name);
        if bytes.len() > LARGEST_FILE {
            let found = Found::at_start(
                &YAML_LIMIT,
                format!("the file has more than {} MiB", LARGEST_FILE >> 20),
                "split it",
            );
            source.add(None, found);
        } else {
            match std::str::from_utf8(bytes) {
                Ok(text) => self.text(text, &mut source),
                Err(error) => {
                    let line = bytes[..error.valid_up_to()].split(|b| *b == b'\n').count();
                    let at = Position { line, column: 1 };
                    let message = "the line is not UTF-8".to_owned();
                    source.add(
                        None,
                        Found::new(
                            &YAML_SYNTAX,
                            Span::at(at),
                            message,
                            "save the file as UTF-8",
                        ),
                    );
                }
            }
        }
        self.report.findings.append(&mut source.findings());
    }

    fn text(&mut self, text: &str, source: &mut Source) {
        // The mark that some editors put at a file's beginning.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        source.lines = secrets::hide(text)
            .lines()
            .map(|line| line.chars().take(LONGEST_LINE).collect())
            .collect();
        for found in control_characters(text).take(MOST_FINDINGS) {
            source.add(None, found);
        }
        let contents = yaml::read(text);
        for (span, key, first) in contents.repeated {
            let message = format!("the key `{}` is in line {first} already", printable(&key));
            source.add(
                None,
                Found::new(&DUPLICATE_KEY, span, message, "keep one of them"),
            );
        }
        for root in &contents.documents {
            self.document(root, source);
        }
        if let Some(problem) = contents.problem {
            let (rule, what, fix) = if problem.is_limit {
                (&YAML_LIMIT, String::new(), "write it out, and less of it")
            } else {
                let fix = if text
                    .lines()
                    .nth(problem.at.line - 1)
                    .is_some_and(tab_indented)
                {
                    "indent with spaces: YAML does not allow tabs"
                } else {
                    "mend the YAML; what follows was not read"
                };
                (&YAML_SYNTAX, "this is not YAML: ".to_owned(), fix)
            };
            let message = what + &printable(&problem.what);
            source.add(None, Found::new(rule, Span::at(problem.at), message, fix));
        }
    }

    fn document(&mut self, root: &yaml::Node, source: &mut Source) {
        if root.is_null() {
            return;
        }
        let mut document = Document::new(root);
        let entity = document.entity();
        let entity_ref = entity.as_ref().map(Entity::entity_ref);
        if let Some(entity) = &entity {
            self.report.entities += 1;
            if database::check(&mut document, entity, &self.conventions) {
                self.report.databases += 1;
            }
        }
        if let Some(entity_ref) = &entity_ref {
            let name = document.name_span();
            let here = (source.name.clone(), name.start.line);
            if let Some((file, line)) = self.seen.get(entity_ref) {
                let message = format!(
                    "`{}` is in {file}:{line} already",
                    shown(&entity_ref.to_string())
                );
                document.add(
                    &DUPLICATE_ENTITY,
                    name,
                    message,
                    "rename or remove one of them",
                );
            } else {
                self.seen.insert(entity_ref.clone(), here);
            }
        }
        let about = entity_ref.map(|entity_ref| shown(&entity_ref.to_string()));
        for found in document.into_found() {
            source.add(about.clone(), found);
        }
    }

    /// What was found.
    pub fn finish(self) -> Report {
        self.report
    }
}

/// A file, as far as findings need it.
struct Source {
    name: String,
    /// Without secrets.
    lines: Vec<String>,
    found: Vec<Finding>,
}

impl Source {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            lines: Vec::new(),
            found: Vec::new(),
        }
    }

    fn add(&mut self, entity: Option<String>, found: Found) {
        if found.rule == &SECRET {
            self.hide(found.span);
        }
        self.found.push(Finding {
            rule: found.rule,
            file: self.name.clone(),
            span: found.span,
            entity,
            message: found.message,
            fix: found.fix,
            line: String::new(),
        });
    }

    /// Takes a value out of every line it stands in.
    fn hide(&mut self, span: Span) {
        let last = span.end.line.min(self.lines.len());
        for number in span.start.line..=last {
            let line = &mut self.lines[number - 1];
            let is_hidden = |(at, c): (usize, char)| {
                let behind = number > span.start.line || at + 1 >= span.start.column;
                let before = number < span.end.line || at + 1 < span.end.column;
                if behind && before && !c.is_whitespace() {
                    '*'
                } else {
                    c
                }
            };
            *line = line.chars().enumerate().map(is_hidden).collect();
        }
    }

    /// The findings in the order of lines, each with its line, now that all secrets are known.
    fn findings(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| finding.span);
        self.found.truncate(MOST_FINDINGS);
        for finding in &mut self.found {
            let span = &mut finding.span;
            let line = self
                .lines
                .get(span.start.line - 1)
                .map_or("", String::as_str);
            // The parser counts the blanks and line breaks behind a value to it.
            let ends_in_line = line.trim_end().chars().count() + 1;
            if span.end.line != span.start.line || span.end.column > ends_in_line {
                span.end = Position {
                    line: span.start.line,
                    column: ends_in_line,
                };
            }
            span.end.column = span.end.column.max(span.start.column + 1);
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            finding.line = format!("{}{}", " ".repeat(indent), printable(line));
        }
        self.found
    }
}

/// A text of the file in a message: no secrets, no control characters.
fn shown(text: &str) -> String {
    printable(&secrets::hide(text))
}

fn tab_indented(line: &str) -> bool {
    let indent = &line[..line.len() - line.trim_start().len()];
    indent.contains('\t')
}

/// The first in each line, of those that YAML does not allow and those that make text read as something else.
fn control_characters(text: &str) -> impl Iterator<Item = Found> {
    text.lines().enumerate().filter_map(|(number, line)| {
        let (column, c) = line.chars().enumerate().find(|(_, c)| is_control(*c))?;
        let at = Position {
            line: number + 1,
            column: column + 1,
        };
        let message = format!("the control character U+{:04X}", u32::from(c));
        Some(Found::new(
            &CONTROL_CHARACTER,
            Span::at(at),
            message,
            "remove it",
        ))
    })
}

/// Whether a character steers a terminal or the direction of text instead of being one.
fn is_control(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
}

#[cfg(test)]
mod tests;
