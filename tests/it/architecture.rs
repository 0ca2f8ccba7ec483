//! The house rules of docs/architecture.md, checked: who may import whom, how long files get, that every room says what
//! it is, and that nothing but the sandbox's own door knows of the sandbox.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each part may import of the crate. A part is a folder or a file directly below `src`.
const IMPORTS: [(&str, &[&str]); 27] = [
    // The floor.
    ("error", &[]),
    ("secret", &[]),
    ("hex", &[]),
    ("private_dir", &["error", "hex"]),
    ("private_file", &[]),
    ("clock", &[]),
    ("buffers", &[]),
    ("shutdown", &["error"]),
    ("http", FLOOR),
    ("refresh", FLOOR),
    // Rooms: one per counterparty.
    ("auth", FLOOR),
    ("catalog", FLOOR),
    (
        "cloudsql",
        &[
            "error",
            "secret",
            "clock",
            "shutdown",
            "http",
            "refresh",
            "buffers",
            "tunnel::Dial",
        ],
    ),
    ("tunnel", FLOOR),
    (
        "sql",
        &[
            "error",
            "secret",
            "hex",
            "refresh",
            "shutdown",
            "tunnel::Dial",
        ],
    ),
    (
        "launch",
        &[
            "error",
            "secret",
            "clock",
            "shutdown",
            "tunnel::Endpoint",
            "tunnel::Protocol",
            "tunnel::{Endpoint, Protocol}",
        ],
    ),
    (
        "control",
        &[
            "error",
            "hex",
            "private_dir",
            "private_file",
            "tunnel::Endpoint",
            "tunnel::{Endpoint, Protocol, Reading}",
        ],
    ),
    ("config", FLOOR),
    // Joints.
    ("target", &["error", "catalog", "cloudsql"]),
    ("lint", &["error", "hex", "catalog", "cloudsql", "target"]),
    ("audit", FLOOR),
    ("ui", &["error", "auth", "sql"]),
    (
        "prompt",
        &[
            "error",
            "shutdown",
            "private_dir",
            "private_file",
            "sql",
            "ui",
            "tunnel::Dial",
        ],
    ),
    // The top.
    ("app", EVERYTHING_BELOW),
    ("cli", &["*"]),
    ("sandbox", FLOOR),
    ("lib", &["*"]),
];

const FLOOR: &[&str] = &[
    "error",
    "secret",
    "clock",
    "shutdown",
    "http",
    "private_dir",
    "private_file",
    "refresh",
    "buffers",
    "hex",
];
const EVERYTHING_BELOW: &[&str] = &[
    "error", "secret", "clock", "shutdown", "http", "refresh", "auth", "catalog", "cloudsql",
    "tunnel", "sql", "launch", "config", "target", "audit", "ui", "prompt",
];

/// Longer than this, without its tests, a file is two files.
const LONGEST_FILE: usize = 600;

fn source_files() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), text)
    };
    files.into_iter().map(read).collect()
}

/// The text before the unit tests, which may use what they like.
fn without_tests(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_attribute = |line: &&&str| line.starts_with("#[");
    let begins_tests = |at: usize| {
        let attributes: Vec<&&str> = lines[at..].iter().take_while(is_attribute).collect();
        let item = lines.get(at + attributes.len()).unwrap_or(&"");
        attributes.contains(&&"#[cfg(test)]") && item.contains("mod ") && item.ends_with('{')
    };
    let end = (0..lines.len())
        .find(|at| begins_tests(*at))
        .unwrap_or(lines.len());
    lines[..end].join("\n")
}

/// The source files that are part of the program; those that only tests have are left out.
fn program_files() -> Vec<(PathBuf, String)> {
    let files = source_files();
    let only_tests: Vec<PathBuf> = files
        .iter()
        .flat_map(|(path, text)| {
            let dir = path.parent().unwrap().to_owned();
            let lines: Vec<&str> = text.lines().collect();
            let declared = lines
                .windows(3)
                .filter(|lines| lines[..2].contains(&"#[cfg(test)]"));
            let names = declared.filter_map(|lines| {
                lines[1..]
                    .iter()
                    .find_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
            });
            names
                .map(|name| dir.join(format!("{name}.rs")))
                .collect::<Vec<_>>()
        })
        .collect();
    let program = files
        .into_iter()
        .filter(|(path, _)| !only_tests.contains(path));
    program
        .map(|(path, text)| (path, without_tests(&text)))
        .collect()
}

fn part(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn imports_follow_the_table() {
    let table: BTreeMap<&str, &[&str]> = IMPORTS.into();
    let mut broken = Vec::new();
    for (path, text) in program_files() {
        let part = part(&path);
        if part == "main" {
            continue;
        }
        let Some(allowed) = table.get(part.as_str()) else {
            broken.push(format!(
                "{}: `{part}` has no row in the table",
                path.display()
            ));
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for imported in line.replace("(in crate::", "(in ").split("crate::").skip(1) {
                let is_allowed = allowed.contains(&"*")
                    || imported.starts_with(&format!("{part}::"))
                    || imported.starts_with(&format!("{part};"))
                    || allowed.iter().any(|allowed| {
                        imported.starts_with(&format!("{allowed}::"))
                            || imported.starts_with(&format!("{allowed};"))
                            || imported == *allowed
                    });
                if !is_allowed {
                    broken.push(format!(
                        "{}:{}: {}",
                        path.display(),
                        number + 1,
                        line.trim()
                    ));
                }
            }
        }
    }
    assert!(
        broken.is_empty(),
        "imports that the table does not allow:\n{}",
        broken.join("\n")
    );
}

#[test]
fn files_are_small() {
    let long: Vec<String> = program_files()
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LONGEST_FILE} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in source_files() {
        assert!(
            text.starts_with("//! "),
            "{} does not open with its doc",
            path.display()
        );
    }
}

#[test]
fn the_client_cannot_tell_that_it_talks_to_the_sandbox() {
    for (path, text) in program_files() {
        let part = part(&path);
        let may = part == "sandbox"
            || part == "lib"
            || path.starts_with("cli/sandbox")
            || path.ends_with("cli/mod.rs");
        let lines: Vec<&str> = text.lines().collect();
        // Tests may need it.
        let is_for_tests = |at: usize| at > 0 && lines[at - 1] == "#[cfg(test)]";
        let code = (0..lines.len())
            .filter(|at| !is_for_tests(*at))
            .map(|at| lines[at]);
        for line in code.filter(|line| !line.trim_start().starts_with("//")) {
            // A hint may name the command; no code may ask.
            let names_it = line.contains("sandbox") && !line.contains("bsql sandbox");
            assert!(may || !names_it, "{}: {}", path.display(), line.trim());
        }
    }
}

/// The system's calls that tell whose a TCP connection is, and nothing else.
#[test]
fn two_files_may_be_unsafe() {
    let may = ["tunnel/tcp_owner/libproc.rs", "tunnel/tcp_owner/win32.rs"].map(Path::new);
    for (path, text) in source_files() {
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let blocks = code.filter(|line| line.contains("unsafe ")).count();
        if may.contains(&&*path) {
            let said = text.matches("// SAFETY: ").count();
            assert!(
                blocks > 0 && said >= blocks,
                "{}: {said} of {blocks}",
                path.display()
            );
        } else {
            assert_eq!(blocks, 0, "{}", path.display());
        }
        let lets_off = text.contains("unsafe_code") && path != Path::new("tunnel/tcp_owner/mod.rs");
        assert!(!lets_off, "{}", path.display());
    }
}

#[test]
fn no_drawers() {
    for (path, _) in source_files() {
        for name in path
            .iter()
            .map(|name| name.to_str().unwrap().trim_end_matches(".rs"))
        {
            let drawer = [
                "util", "utils", "common", "helpers", "types", "models", "misc",
            ]
            .contains(&name);
            assert!(!drawer, "{} is a drawer, not a room", path.display());
        }
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let main = include_str!("main.rs");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs")
            && module != "main"
        {
            assert!(
                main.contains(&format!("mod {module};")),
                "tests/it/{name} is in no `mod` line of main.rs"
            );
        }
    }
}
