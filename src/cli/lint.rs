//! `bsql lint`: what is wrong with databases in the catalog, before somebody cannot connect to them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::login::signed_in;
use crate::app::App;
use crate::catalog::{EntityRef, find_database};
use crate::error::{ANSWER_NO, ErrorKind, Result, ResultExt as _, printable};
use crate::lint::{Finding, Linter, Report, Severity, sarif};
use crate::ui::Ui;

/// What Backstage reads from a repository unless told otherwise.
const FILE_NAMES: [&str; 2] = ["catalog-info.yaml", "catalog-info.yml"];
/// Directories in which nobody keeps their own catalog files.
const NOT_WALKED: [&str; 3] = ["node_modules", "target", "vendor"];
/// Deeper than this no repository is.
const DEEPEST: usize = 32;

/// Check catalog-info.yaml files, or an entity of the catalog
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Files are checked without a sign-in and without the network; the profile's conventions count if there is a profile.

  bsql lint .                                   # every catalog-info.yaml below
  bsql lint catalog-info.yaml -o github         # in GitHub Actions
  bsql lint . -o sarif > bsql.sarif             # for code scanning
  helm template . | bsql lint -
  bsql lint payments-staging                    # as it is in the catalog now")]
pub(crate) struct LintArgs {
    /// Files, directories, `-` for standard input, or names from the catalog
    #[arg(required = true, value_name = "FILE|NAME")]
    inputs: Vec<String>,
    /// How to write what is found
    #[arg(short, long, default_value = "text")]
    output: Format,
    /// End with exit status 1 for findings that are at least this bad
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    fail_on: FailOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As compilers do
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands, for GitHub Actions
    Github,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Error,
    Warning,
    Note,
}

impl LintArgs {
    pub(super) fn is_json(&self) -> bool {
        matches!(self.output, Format::Json | Format::Sarif)
    }
}

pub(crate) async fn run(args: LintArgs, app: &App, ui: &mut Ui) -> Result<u8> {
    let profile = app.profile_if_any(ui)?;
    let conventions = profile.as_ref().map(App::conventions).unwrap_or_default();
    let mut linter = Linter::new(conventions);
    for input in &args.inputs {
        match Input::of(input)? {
            Input::Stdin => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .read_to_end(&mut bytes)
                    .or_fail(ErrorKind::Usage, || "cannot read standard input")?;
                linter.file("stdin", &bytes);
            }
            Input::File(path) => lint_file(&mut linter, &path)?,
            Input::Directory(path) => {
                let files = catalog_files(&path)?;
                if files.is_empty() {
                    return Err(ErrorKind::Usage
                        .error(format!(
                            "there is no `{}` below `{}`",
                            FILE_NAMES[0],
                            path.display()
                        ))
                        .hint("name the files themselves"));
                }
                for file in files {
                    lint_file(&mut linter, &file)?;
                }
            }
            Input::Entity => {
                let (name, text) = fetch(input, app, ui).await?;
                linter.file(&name, text.as_bytes());
            }
        }
    }
    let report = linter.finish();
    let text = match args.output {
        Format::Text => report.findings.iter().map(as_text).collect(),
        Format::Json => pretty(&as_json(&report))?,
        Format::Sarif => pretty(&sarif(&report.findings))?,
        Format::Github => report.findings.iter().map(as_workflow_command).collect(),
    };
    ui.print(&text)?;
    ui.status(&summary(&report));
    let least = match args.fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
        FailOn::Note => Severity::Note,
    };
    let fails = report
        .findings
        .iter()
        .any(|found| found.rule.severity >= least);
    Ok(if fails { ANSWER_NO } else { 0 })
}

/// What an argument is.
enum Input {
    Stdin,
    File(PathBuf),
    Directory(PathBuf),
    Entity,
}

impl Input {
    fn of(text: &str) -> Result<Self> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        let path = PathBuf::from(text);
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Self::Directory(path)),
            Ok(_) => Ok(Self::File(path)),
            Err(error) => {
                // A name from the catalog looks like none of these.
                let extension = path.extension().and_then(|extension| extension.to_str());
                let is_yaml = matches!(extension, Some("yaml" | "yml" | "json"));
                let is_path = text.starts_with(['.', '/', '~']) || text.contains('\\');
                if !is_yaml && !is_path && EntityRef::parse(text, "resource").is_ok() {
                    return Ok(Self::Entity);
                }
                Err(error).or_fail(ErrorKind::Usage, || {
                    format!("cannot read `{}`", printable(text))
                })
            }
        }
    }
}

fn lint_file(linter: &mut Linter, path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).or_fail(ErrorKind::Usage, || {
        format!("cannot read `{}`", path.display())
    })?;
    linter.file(&path.display().to_string(), &bytes);
    Ok(())
}

/// The catalog files below a directory, in the order of their paths. Links are not followed: they may lead around.
fn catalog_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![(directory.to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        let failed = || format!("cannot read `{}`", directory.display());
        let entries = std::fs::read_dir(&directory).or_fail(ErrorKind::Usage, failed)?;
        for entry in entries {
            let entry = entry.or_fail(ErrorKind::Usage, failed)?;
            let kind = entry.file_type().or_fail(ErrorKind::Usage, failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if kind.is_file() && FILE_NAMES.contains(&name.as_ref()) {
                files.push(entry.path());
            }
            let is_walked = !name.starts_with('.') && !NOT_WALKED.contains(&name.as_ref());
            if kind.is_dir() && is_walked && depth < DEEPEST {
                directories.push((entry.path(), depth + 1));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The entity that the catalog has now, as text that can be checked.
async fn fetch(name: &str, app: &App, ui: &mut Ui) -> Result<(String, String)> {
    let profile = app.profile(ui)?;
    let session = app.session(&profile)?;
    app.shutdown().or_interrupted(signed_in(&session)).await?;
    let catalog = app.catalog(&profile, &session)?;
    let finding = app.shutdown().or_interrupted(find_database(&catalog, name));
    let entity = ui.wait("asking Backstage", finding).await?;
    let mut value =
        serde_json::to_value(&entity).or_fail(ErrorKind::Internal, || "cannot write JSON")?;
    // It is in the catalog, so it has one; bsql has no use for it.
    value["apiVersion"] = json!("backstage.io/v1alpha1");
    Ok((entity.entity_ref().to_string(), pretty(&value)?))
}

fn pretty(value: &Value) -> Result<String> {
    let text =
        serde_json::to_string_pretty(value).or_fail(ErrorKind::Internal, || "cannot write JSON")?;
    Ok(text + "\n")
}

/// `file:line:column: severity[rule]: message`, the line with the place marked, and what to do.
fn as_text(finding: &Finding) -> String {
    let span = finding.span;
    // A line that was cut short has no place to mark.
    let place = if span.end.column <= finding.line.chars().count() + 1 {
        let number = span.start.line.to_string();
        let gap = " ".repeat(number.len());
        let before = " ".repeat(span.start.column - 1);
        let marks = "^".repeat(span.end.column - span.start.column);
        format!("  {number} | {}\n  {gap} | {before}{marks}\n", finding.line)
    } else {
        String::new()
    };
    format!(
        "{}:{}:{}: {}[{}]: {}\n{place}  fix: {}\n",
        printable(&finding.file),
        span.start.line,
        span.start.column,
        finding.rule.severity.name(),
        finding.rule.id,
        finding.message,
        finding.fix
    )
}

fn as_json(report: &Report) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            let span = finding.span;
            json!({
                "rule": finding.rule.id,
                "severity": finding.rule.severity.name(),
                "file": finding.file,
                "line": span.start.line,
                "column": span.start.column,
                "end_line": span.end.line,
                "end_column": span.end.column,
                "entity": finding.entity,
                "message": finding.message,
                "fix": finding.fix,
            })
        })
        .collect();
    json!({
        "version": 1,
        "findings": findings,
        "files": report.files,
        "entities": report.entities,
        "databases": report.databases,
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "notes": report.count(Severity::Note),
    })
}

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>
fn as_workflow_command(finding: &Finding) -> String {
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let span = finding.span;
    let command = match finding.rule.severity {
        Severity::Note => "notice",
        other => other.name(),
    };
    format!(
        "::{command} file={},line={},endLine={},col={},endColumn={},title={}::{}\n",
        property(finding.file.strip_prefix("./").unwrap_or(&finding.file)),
        span.start.line,
        span.end.line,
        span.start.column,
        // GitHub counts the last character in.
        span.end.column - 1,
        property(finding.rule.id),
        data(&format!("{}\nfix: {}", finding.message, finding.fix))
    )
}

fn summary(report: &Report) -> String {
    let count = |number: usize, one: &str, several: &str| {
        format!("{number} {}", if number == 1 { one } else { several })
    };
    let found: Vec<String> = [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Note, "note", "notes"),
    ]
    .into_iter()
    .map(|(severity, one, several)| (report.count(severity), one, several))
    .filter(|(number, ..)| *number > 0)
    .map(|(number, one, several)| count(number, one, several))
    .collect();
    let found = if found.is_empty() {
        "nothing to mend".to_owned()
    } else {
        found.join(", ")
    };
    format!(
        "{} in {}: {found}",
        count(report.databases, "database", "databases"),
        count(report.files, "file", "files"),
    )
}
