//! One document of a file: what every entity has to have, and what none may have.

use serde_json::{Value, json};

use super::finding::{
    CONTROL_CHARACTER, LABEL, NAME, NOT_AN_ENTITY, NOT_TEXT, Position, REFERENCE, Rule, SECRET,
    Span, TAG,
};
use super::form::{is_key, is_kind, is_name, is_namespace, is_placeholder, is_tag};
use super::yaml::{Content, Node, ScalarKind};
use super::{is_control, secrets, shown};
use crate::catalog::{Entity, EntityRef};

/// A finding that does not know its file yet.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rule: &'static Rule,
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) fix: String,
}

impl Found {
    pub(super) fn new(
        rule: &'static Rule,
        span: Span,
        message: String,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            span,
            message,
            fix: fix.into(),
        }
    }

    /// About the file as a whole.
    pub(super) fn at_start(rule: &'static Rule, message: String, fix: &str) -> Self {
        let start = Position { line: 1, column: 1 };
        Self::new(rule, Span::at(start), message, fix)
    }
}

/// A document, and what was found in it so far.
#[derive(Debug)]
pub(super) struct Document<'a> {
    root: &'a Node,
    found: Vec<Found>,
}

impl<'a> Document<'a> {
    pub(super) fn new(root: &'a Node) -> Self {
        Self {
            root,
            found: Vec::new(),
        }
    }

    pub(super) fn into_found(self) -> Vec<Found> {
        self.found
    }

    pub(super) fn add(
        &mut self,
        rule: &'static Rule,
        span: Span,
        message: String,
        fix: impl Into<String>,
    ) {
        self.found.push(Found::new(rule, span, message, fix));
    }

    /// Whether one of these rules has found something.
    pub(super) fn has_found(&self, rules: &[&Rule]) -> bool {
        self.found.iter().any(|found| rules.contains(&found.rule))
    }

    /// Takes back what a rule has found at a place, for another rule that says it better.
    pub(super) fn retract(&mut self, rule: &Rule, span: Span) {
        self.found
            .retain(|found| found.rule != rule || found.span != span);
    }

    fn metadata(&self) -> Option<&'a Node> {
        self.root.get("metadata")
    }

    /// The key and the value of an annotation.
    pub(super) fn annotation(&self, key: &str) -> Option<&'a (Node, Node)> {
        entry(self.metadata()?.get("annotations")?, key)
    }

    /// All annotations.
    pub(super) fn annotations(&self) -> &'a [(Node, Node)] {
        let annotations = self.metadata().and_then(|it| it.get("annotations"));
        annotations.map_or(&[], Node::entries)
    }

    /// All labels.
    pub(super) fn labels(&self) -> &'a [(Node, Node)] {
        let labels = self.metadata().and_then(|it| it.get("labels"));
        labels.map_or(&[], Node::entries)
    }

    /// A field of `spec`.
    pub(super) fn spec(&self, key: &str) -> Option<&'a (Node, Node)> {
        entry(self.root.get("spec")?, key)
    }

    /// Where the name is, for what is about the entity as a whole.
    pub(super) fn name_span(&self) -> Span {
        self.metadata()
            .and_then(|metadata| metadata.get("name"))
            .map_or(Span::at(self.root.span.start), |name| name.span)
    }

    /// Where to write an annotation that is missing: the annotations' own line, else the name's.
    pub(super) fn annotations_span(&self) -> Span {
        let annotations = self
            .metadata()
            .and_then(|metadata| entry(metadata, "annotations"));
        annotations.map_or_else(|| self.name_span(), |(key, _)| key.span)
    }

    /// Checks what every entity has. `None` when there is too little to tell what it is.
    pub(super) fn entity(&mut self) -> Option<Entity> {
        let root = self.root;
        let kind = root.get("kind").and_then(Node::text).unwrap_or_default();
        let name = self.metadata().and_then(|metadata| metadata.get("name"));
        let name_text = name.and_then(Node::text).unwrap_or_default();
        let mut missing: Vec<&str> = Vec::new();
        for (what, there) in [
            (
                "apiVersion",
                root.get("apiVersion").is_some_and(|it| !it.is_null()),
            ),
            ("kind", !kind.is_empty()),
            ("metadata.name", !name_text.is_empty()),
        ] {
            if !there {
                missing.push(what);
            }
        }
        if let [_, ..] = missing.as_slice() {
            let names: Vec<String> = missing.iter().map(|what| format!("`{what}`")).collect();
            self.add(
                &NOT_AN_ENTITY,
                Span::at(root.span.start),
                format!(
                    "an entity has {}, and this document does not",
                    names.join(" and ")
                ),
                "add it, or keep what is not for the catalog in another file",
            );
        }
        self.tables();
        self.names();
        self.values("label", self.labels());
        self.values("annotation", self.annotations());
        self.tags();
        self.references();
        self.secrets();
        if kind.is_empty() || name_text.is_empty() {
            return None;
        }
        self.parsed()
    }

    /// What has names and values in it. bsql takes anything else for nothing there; Backstage refuses the file.
    fn tables(&mut self) {
        for key in ["labels", "annotations"] {
            let node = self.metadata().and_then(|metadata| metadata.get(key));
            if node.is_some_and(|node| !node.is_null() && !node.to_json().is_object()) {
                self.add(
                    &NOT_AN_ENTITY,
                    Span::at(self.root.span.start),
                    format!("this is not an entity: `metadata.{key}` has no names and values"),
                    "see https://backstage.io/docs/features/software-catalog/descriptor-format",
                );
            }
        }
    }

    /// The entity as the catalog would answer it, with the relations that Backstage makes of `spec`.
    fn parsed(&mut self) -> Option<Entity> {
        let mut value = self.root.to_json();
        if value["relations"].is_null() {
            value["relations"] = self.relations();
        }
        match serde_json::from_value(value) {
            Ok(entity) => Some(entity),
            Err(error) => {
                if self.found.is_empty() {
                    self.add(
                        &NOT_AN_ENTITY,
                        Span::at(self.root.span.start),
                        format!("this is not an entity: {}", shown(&error.to_string())),
                        "see https://backstage.io/docs/features/software-catalog/descriptor-format",
                    );
                }
                None
            }
        }
    }

    fn relations(&self) -> Value {
        let namespace = self
            .metadata()
            .and_then(|metadata| metadata.get("namespace"));
        let namespace = namespace.and_then(Node::text).unwrap_or("default");
        let mut relations = Vec::new();
        for (field, kind, relation) in [
            ("owner", "group", "ownedBy"),
            ("system", "system", "partOf"),
        ] {
            let Some(text) = self.spec(field).and_then(|(_, value)| value.text()) else {
                continue;
            };
            // Unlike elsewhere the namespace is the entity's own.
            let text = if text.contains('/') {
                text.to_owned()
            } else {
                match text.split_once(':') {
                    Some((kind, name)) => format!("{kind}:{namespace}/{name}"),
                    None => format!("{namespace}/{text}"),
                }
            };
            if let Ok(target) = EntityRef::parse(&text, kind) {
                relations.push(json!({ "type": relation, "targetRef": target.to_string() }));
            }
        }
        relations.into()
    }

    fn names(&mut self) {
        let metadata = self.metadata();
        for (what, node, fits, form) in [
            (
                "kind",
                self.root.get("kind"),
                is_kind as fn(&str) -> bool,
                "letters and digits",
            ),
            (
                "metadata.name",
                metadata.and_then(|metadata| metadata.get("name")),
                is_name,
                "at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or a digit",
            ),
            (
                "metadata.namespace",
                metadata.and_then(|metadata| metadata.get("namespace")),
                is_namespace,
                "at most 63 small letters and digits with single `-` between them",
            ),
        ] {
            let Some(node) = node else { continue };
            let Some(text) = self.text_of(&format!("`{what}`"), node) else {
                continue;
            };
            if !text.is_empty() && !fits(text) && !is_placeholder(text) {
                let message = format!("`{what}` cannot be `{}`", shown(text));
                self.add(&NAME, node.span, message, format!("use {form}"));
            }
        }
    }

    /// The text of a value that must be one.
    fn text_of(&mut self, what: &str, node: &'a Node) -> Option<&'a str> {
        let (is, fix) = match &node.content {
            Content::Scalar { text, kind } => match kind {
                ScalarKind::Text => return Some(text),
                ScalarKind::Null => ("nothing", "write its value, or remove the line"),
                ScalarKind::Boolean => ("a boolean", "put it in quotes"),
                ScalarKind::Number => ("a number", "put it in quotes"),
            },
            Content::Sequence(_) => ("a list", "write one text"),
            Content::Mapping(_) => ("a mapping", "write one text, in quotes if it has braces"),
        };
        let message = format!("{what} is {is}, and must be text");
        self.add(&NOT_TEXT, node.span, message, fix);
        None
    }

    fn values(&mut self, what: &str, entries: &'a [(Node, Node)]) {
        for (key, value) in entries {
            let Some(key_text) = key.text() else { continue };
            if !is_key(key_text) && !is_placeholder(key_text) {
                self.add(
                    &LABEL,
                    key.span,
                    format!("`{}` cannot be the key of a {what}", shown(key_text)).replace("a annotation", "an annotation"),
                    "use a name of at most 63 letters, digits, `-`, `_` and `.`, behind a domain and a `/` if you like",
                );
            }
            let Some(text) = self.text_of(&format!("{what} `{}`", shown(key_text)), value) else {
                continue;
            };
            if text.contains(is_control) {
                self.add(
                    &CONTROL_CHARACTER,
                    value.span,
                    format!("{what} `{}` has a control character", shown(key_text)),
                    "remove it",
                );
            }
            if what == "label" && !is_name(text) && !is_placeholder(text) {
                self.add(
                    &LABEL,
                    value.span,
                    format!("label `{}` cannot be `{}`", shown(key_text), shown(text)),
                    "use at most 63 letters, digits, `-`, `_` and `.`, or make it an annotation",
                );
            }
        }
    }

    fn tags(&mut self) {
        let tags = self.metadata().and_then(|metadata| metadata.get("tags"));
        for tag in tags.map_or(&[][..], Node::items) {
            let Some(text) = self.text_of("a tag", tag) else {
                continue;
            };
            if !is_tag(text) && !is_placeholder(text) {
                self.add(
                    &TAG,
                    tag.span,
                    format!("`{}` cannot be a tag", shown(text)),
                    "use at most 63 small letters, digits, `:`, `+` and `#`, with single `-` between them",
                );
            }
        }
    }

    fn references(&mut self) {
        for field in ["dependsOn", "dependencyOf"] {
            let items = self.spec(field).map_or(&[][..], |(_, value)| value.items());
            for item in items {
                let Some(text) = self.text_of(&format!("a reference in `spec.{field}`"), item)
                else {
                    continue;
                };
                if !is_placeholder(text) && text.parse::<EntityRef>().is_err() {
                    self.add(
                        &REFERENCE,
                        item.span,
                        format!("`{}` in `spec.{field}` does not say its kind", shown(text)),
                        format!("write `resource:{0}` or `component:{0}`", shown(text)),
                    );
                }
            }
        }
    }

    fn secrets(&mut self) {
        let Some(metadata) = self.metadata() else {
            return;
        };
        let mut texts: Vec<(String, &Node, bool)> = Vec::new();
        for (what, entries) in [("label", self.labels()), ("annotation", self.annotations())] {
            for (key, value) in entries {
                let key = key.text().unwrap_or_default();
                let what = format!("{what} `{}`", shown(key));
                texts.push((what, value, secrets::is_secret_key(key)));
            }
        }
        for key in ["title", "description"] {
            let value = metadata.get(key).into_iter();
            texts.extend(value.map(|value| (format!("`metadata.{key}`"), value, false)));
        }
        let links = metadata.get("links").map_or(&[][..], Node::items);
        let urls = links.iter().filter_map(|link| link.get("url"));
        texts.extend(urls.map(|url| ("a link".to_owned(), url, false)));
        for (what, value, by_key) in texts {
            let text = value.text().unwrap_or_default();
            let is_value = by_key
                && !value.is_null()
                && value.scalar_kind() != Some(ScalarKind::Boolean)
                && secrets::has_any(&format!("password={text}"));
            if is_value || secrets::has_any(text) {
                self.add(
                    &SECRET,
                    value.span,
                    format!("there is a secret in {what}"),
                    "remove it and change it: it has been where everybody can read it; bsql needs no passwords",
                );
            }
        }
    }
}

fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a (Node, Node)> {
    let mut entries = node.entries().iter();
    entries.find(|(found, _)| found.text() == Some(key))
}
