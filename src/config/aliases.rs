//! Short names of the person's own for databases: in their settings, and in a project's `.bsql.toml`.
//!
//! Whoever can write into a repository can write its `.bsql.toml`, so nothing in it counts but aliases, the person's own
//! win over them, and one that is used says where it came from. An alias stands for what may be typed otherwise, never
//! for another alias.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::layers::Settings;
use super::profile::ProfileName;
use crate::error::printable;

/// The project file's name.
const PROJECT_FILE: &str = ".bsql.toml";
/// A file of aliases is smaller.
const LONGEST: u64 = 64 * 1024;

/// What the person's short names stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases {
    aliases: BTreeMap<String, Alias>,
    /// What the person should know, though it stops nothing.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Alias {
    stands_for: String,
    /// The file that says so.
    file: String,
    is_of_project: bool,
}

impl Aliases {
    /// The aliases of a profile, and those of the project that holds the directory `within`. What is wrong is left out and
    /// warned of.
    pub fn read(
        settings: &Settings,
        profile: &ProfileName,
        within: Option<&Path>,
        home: Option<&Path>,
    ) -> Self {
        let mut aliases = Self::default();
        if let Some(file) = within.and_then(|dir| project_file(dir, home)) {
            aliases.add_project(&file);
        }
        for found in settings.all(&["profiles", profile.as_str(), "aliases"]) {
            if let Value::Table(table) = found.value {
                aliases.add(table, &found.layer.to_string(), false);
            } else {
                aliases.warnings.push(format!(
                    "`{}` has `aliases` that are not a table; they are ignored",
                    found.layer
                ));
            }
        }
        aliases
    }

    /// What an alias stands for; `None` when it is none.
    pub fn resolve(&self, name: &str) -> Option<&str> {
        Some(&self.aliases.get(name)?.stands_for)
    }

    /// The project file that an alias is from; `None` when it is the person's own, or none.
    pub fn project_of(&self, name: &str) -> Option<&str> {
        let alias = self.aliases.get(name)?;
        alias.is_of_project.then_some(&alias.file)
    }

    /// The names and what they stand for, for completion.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases
            .iter()
            .map(|(name, alias)| (name.as_str(), alias.stands_for.as_str()))
    }

    fn add(&mut self, table: &Table, file: &str, is_of_project: bool) {
        for (name, value) in table {
            let shown = printable(name);
            if !is_name(name) {
                self.warnings.push(format!(
                    "`{file}` has the alias `{shown}`, which is ignored: use letters, digits, `-`, `_` and `.`"
                ));
                continue;
            }
            match value.as_str().map(str::trim) {
                Some(stands_for) if can_be_meant(stands_for) => {
                    let alias = Alias {
                        stands_for: stands_for.to_owned(),
                        file: file.to_owned(),
                        is_of_project,
                    };
                    self.aliases.insert(name.clone(), alias);
                }
                _ => self.warnings.push(format!(
                    "`{file}` has the alias `{shown}`, which is ignored: it must be the name of a database"
                )),
            }
        }
    }

    fn add_project(&mut self, path: &Path) {
        let file = path.display().to_string();
        let text = match read(path) {
            Ok(text) => text,
            Err(why) => {
                self.warnings.push(format!("`{file}` is ignored: {why}"));
                return;
            }
        };
        let Ok(table) = text.parse::<Table>() else {
            self.warnings
                .push(format!("`{file}` is ignored: it is not TOML"));
            return;
        };
        for (key, value) in &table {
            match (key.as_str(), value) {
                ("aliases", Value::Table(inner)) => self.add(inner, &file, true),
                _ => self.warnings.push(format!(
                    "`{file}` has `{}`, which is ignored: a project's file may hold `[aliases]` only",
                    printable(key)
                )),
            }
        }
    }
}

/// Letters, digits, `-`, `_` and `.`: what needs no quotes anywhere.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(fits)
}

/// What cannot be a name of a database is not passed on as one.
fn can_be_meant(text: &str) -> bool {
    let unfit = |c: char| c.is_whitespace() || c.is_control();
    !text.is_empty() && !text.starts_with('-') && !text.contains(unfit)
}

/// The nearest project file in `dir` or above it, up to the root of a repository or the home directory.
fn project_file(dir: &Path, home: Option<&Path>) -> Option<PathBuf> {
    for dir in dir.ancestors() {
        let file = dir.join(PROJECT_FILE);
        if file.is_file() {
            return Some(file);
        }
        if dir.join(".git").exists() || Some(dir) == home {
            return None;
        }
    }
    None
}

fn read(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    // Directories above this one may be everybody's, as those in /tmp are.
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        let owner = file.metadata().map_err(|error| error.to_string())?.uid();
        if owner != rustix::process::geteuid().as_raw() && owner != 0 {
            return Err("it belongs to another user".to_owned());
        }
    }
    let mut text = String::new();
    file.take(LONGEST + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err("it is too long".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Environment, Origin};

    fn settings(text: &str) -> (Settings, ProfileName) {
        let mut settings = Settings::default();
        settings
            .add(Origin::User, "config.toml".to_owned(), text)
            .unwrap();
        let name = ProfileName::choose(Some("acme"), &Environment::default(), &settings).unwrap();
        (settings, name)
    }

    #[test]
    fn the_persons_own_win_and_are_no_unknown_keys() {
        let home = tempfile::tempdir().unwrap();
        let deep = home.path().join("repository/src/deep");
        fs::create_dir_all(&deep).unwrap();
        fs::write(
            home.path().join("repository/.bsql.toml"),
            "[aliases]\npay = \"payments-production\"\norders = \"orders@staging\"\nloop = \"pay\"\n",
        )
        .unwrap();
        let (settings, profile) = settings(
            "[profiles.acme.aliases]\npay = \"resource:default/payments-staging\"\ntoken-service = \"tokens\"\n",
        );
        assert_eq!(settings.warnings, Vec::<String>::new());
        let aliases = Aliases::read(&settings, &profile, Some(&deep), Some(home.path()));
        assert_eq!(aliases.warnings, Vec::<String>::new());
        assert_eq!(
            aliases.resolve("pay"),
            Some("resource:default/payments-staging")
        );
        assert_eq!(aliases.project_of("pay"), None);
        assert_eq!(aliases.resolve("orders"), Some("orders@staging"));
        assert!(
            aliases
                .project_of("orders")
                .unwrap()
                .ends_with(".bsql.toml")
        );
        assert_eq!(aliases.resolve("loop"), Some("pay"), "not followed");
        assert_eq!(aliases.resolve("token-service"), Some("tokens"));
        assert_eq!(aliases.resolve("other"), None);
        assert_eq!(aliases.iter().count(), 4);
    }

    #[test]
    fn a_repository_says_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".bsql.toml");
        let (settings, profile) = settings("[profiles.acme]\n");
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            Aliases::read(&settings, &profile, Some(home.path()), Some(home.path()))
        };
        let aliases = read(
            "default_profile = \"evil\"\n[profiles.acme]\nbackstage.url = \"https://evil.example\"\n[clients]\npostgres = [\"evil\"]\n\
             [aliases]\ngood = \"orders\"\n\"a b\" = \"x\"\n\"-x\" = \"x\"\nno = 5\nflag = \"--client=evil\"\ntwo = \"a\\nb\"\n",
        );
        assert_eq!(aliases.iter().collect::<Vec<_>>(), [("good", "orders")]);
        assert_eq!(aliases.warnings.len(), 8, "{:#?}", aliases.warnings);
        for text in ["[aliases\n", "aliases = 1\n", &"#".repeat(70_000)] {
            let aliases = read(text);
            assert_eq!(aliases.iter().count(), 0);
            assert_eq!(aliases.warnings.len(), 1, "{:#?}", aliases.warnings);
        }
    }

    #[test]
    fn how_far_up_it_is_looked_for() {
        let home = tempfile::tempdir().unwrap();
        let repository = home.path().join("a/repository");
        fs::create_dir_all(repository.join("src")).unwrap();
        let outside = home.path().join("a/.bsql.toml");
        fs::write(&outside, "").unwrap();
        let find = |dir: &Path, home: &Path| project_file(dir, Some(home));
        assert_eq!(
            find(&repository.join("src"), home.path()),
            Some(outside.clone())
        );
        assert_eq!(find(&repository, &repository), None, "not above the home");
        fs::create_dir(repository.join(".git")).unwrap();
        assert_eq!(find(&repository.join("src"), home.path()), None);
        let own = repository.join(".bsql.toml");
        fs::write(&own, "").unwrap();
        assert_eq!(find(&repository.join("src"), home.path()), Some(own));
    }
}
