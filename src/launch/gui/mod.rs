//! Programs with windows: how each of them is told of a connection, in the words that it documents.
//!
//! None gets a password: the tunnel signs in. Where a program can colour a connection, production is red.

mod datagrip;
mod dbeaver;
mod pgadmin;
mod tableplus;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Login;
use crate::error::{ErrorKind, Result};
use crate::tunnel::Protocol;

/// Production's colour, as `RRGGBB`.
const RED: &str = "B3261E";

/// A program with windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuiApp {
    /// DBeaver, of any edition.
    Dbeaver,
    /// JetBrains' `DataGrip`, and their other programs with its database tools.
    Datagrip,
    /// `TablePlus`.
    Tableplus,
    /// pgAdmin 4.
    Pgadmin,
}

impl GuiApp {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 4] = [
        Self::Datagrip,
        Self::Dbeaver,
        Self::Tableplus,
        Self::Pgadmin,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dbeaver => "dbeaver",
            Self::Datagrip => "datagrip",
            Self::Tableplus => "tableplus",
            Self::Pgadmin => "pgadmin",
        }
    }

    /// The names of its programs, and where it is when it is not on the PATH.
    fn places(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Dbeaver => (
                &[
                    "dbeaver",
                    "dbeaver-ce",
                    "dbeaver-ee",
                    "dbeaver-ue",
                    "dbeaver-le",
                ],
                &[
                    "/Applications/DBeaver.app/Contents/MacOS/dbeaver",
                    "/Applications/DBeaverEE.app/Contents/MacOS/dbeaver",
                    "/Applications/DBeaverUltimate.app/Contents/MacOS/dbeaver",
                    "/usr/share/dbeaver-ce/dbeaver",
                ],
            ),
            Self::Datagrip => (
                &["datagrip"],
                &["/Applications/DataGrip.app/Contents/MacOS/datagrip"],
            ),
            Self::Tableplus => (
                &["tableplus"],
                &["/Applications/TablePlus.app/Contents/MacOS/TablePlus"],
            ),
            Self::Pgadmin => (
                &["pgadmin4"],
                &[
                    "/Applications/pgAdmin 4.app/Contents/MacOS/pgAdmin 4",
                    "/usr/pgadmin4/bin/pgadmin4",
                ],
            ),
        }
    }

    /// Where it is installed. `path` is the value of `PATH`.
    pub fn find(self, path: Option<&OsStr>) -> Option<PathBuf> {
        let (names, elsewhere) = self.places();
        let dirs = path.map(std::env::split_paths).into_iter().flatten();
        let on_path = dirs
            // An empty or relative entry would run what happens to be in the working directory.
            .filter(|dir| dir.is_absolute())
            .flat_map(|dir| {
                names
                    .iter()
                    .map(move |name| dir.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
            });
        on_path
            .chain(elsewhere.iter().map(PathBuf::from))
            .find(|file| super::programs::is_executable(file))
    }
}

impl fmt::Display for GuiApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dbeaver => "DBeaver",
            Self::Datagrip => "DataGrip",
            Self::Tableplus => "TablePlus",
            Self::Pgadmin => "pgAdmin",
        })
    }
}

/// A connection for a program with windows.
#[derive(Debug, Clone)]
pub struct Connection<'a> {
    /// The language of the server.
    pub protocol: Protocol,
    /// What the program is told.
    pub login: &'a Login,
    /// Where the tunnel listens, always the same for a database.
    pub address: SocketAddr,
}

/// How a program is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// By starting it with these arguments. `paste` is for when it is not there.
    Arguments {
        /// After the program's name.
        args: Vec<OsString>,
        /// The same as one line for a shell.
        paste: String,
    },
    /// By a URL that the system opens with it.
    Url(String),
    /// By a text that the person puts where the program asks for it.
    Text {
        /// What to put there.
        text: String,
        /// Where, in the program's own words.
        place: &'static str,
        /// What the text is called as a file, if it has to be one.
        file_name: Option<String>,
    },
}

/// How `app` is told of `connection`.
///
/// Fails with [`ErrorKind::Usage`] when it has nothing to do with such databases.
pub fn opening(app: GuiApp, connection: &Connection<'_>) -> Result<Opening> {
    match app {
        GuiApp::Dbeaver => Ok(dbeaver::opening(connection)),
        GuiApp::Datagrip => Ok(datagrip::opening(connection)),
        GuiApp::Tableplus => Ok(tableplus::opening(connection)),
        GuiApp::Pgadmin if connection.protocol == Protocol::Postgres => {
            Ok(pgadmin::opening(connection))
        }
        GuiApp::Pgadmin => Err(ErrorKind::Usage
            .error(format!(
                "pgAdmin does not open {} databases",
                connection.protocol
            ))
            .hint("use --app dbeaver, datagrip or tableplus")),
    }
}

/// What starts `url` with `program`, the app that it is for: on a Mac apps are not started by their files.
pub fn url_command(app: GuiApp, program: &Path, url: &str) -> (PathBuf, Vec<OsString>) {
    if cfg!(target_os = "macos") {
        let args = ["-a", &app.to_string(), url].map(OsString::from);
        ("/usr/bin/open".into(), args.into())
    } else {
        (program.to_owned(), vec![url.into()])
    }
}

impl Connection<'_> {
    /// The connection's name in a list: production comes first in it.
    fn title(&self) -> String {
        let label = self.login.label();
        let read_only = if self.login.read_only {
            " (read-only)"
        } else {
            ""
        };
        format!("{label}{read_only}")
    }

    /// As JDBC drivers take it.
    fn jdbc_url(&self) -> String {
        let database = super::other::escaped(&self.login.database);
        let address = self.address;
        match self.protocol {
            Protocol::Postgres => {
                format!("jdbc:postgresql://{address}/{database}?sslmode=disable")
            }
            Protocol::MySql => format!("jdbc:mysql://{address}/{database}?sslMode=DISABLED"),
            Protocol::SqlServer => format!(
                "jdbc:sqlserver://{address};databaseName={database};encrypt=false;trustServerCertificate=true"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::tests::ada;
    use super::*;

    pub(super) fn production() -> Login {
        Login {
            name: "payments & <co>".to_owned(),
            environment: Some("production".to_owned()),
            ..ada()
        }
    }

    pub(super) fn connection(login: &Login) -> Connection<'_> {
        Connection {
            protocol: Protocol::Postgres,
            login,
            address: "127.0.0.1:15432".parse().unwrap(),
        }
    }

    #[test]
    fn nobody_is_told_a_password() {
        for login in [ada(), production()] {
            for app in GuiApp::ALL {
                let told = format!("{:?}", opening(app, &connection(&login)).unwrap());
                assert!(told.contains("15432") && told.contains("ada"), "{told}");
                let lower = told.to_lowercase().replace("savepassword=false", "");
                assert!(!lower.contains("password"), "{told}");
            }
        }
    }

    #[test]
    fn pgadmin_is_for_postgresql() {
        let login = ada();
        let mysql = Connection {
            protocol: Protocol::MySql,
            ..connection(&login)
        };
        assert!(opening(GuiApp::Pgadmin, &mysql).is_err());
        assert_eq!(
            mysql.jdbc_url(),
            "jdbc:mysql://127.0.0.1:15432/payments?sslMode=DISABLED"
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_installed_is_found() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().as_os_str());
        let file = dir.path().join("dbeaver-ce");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(GuiApp::Dbeaver.find(path), Some(file));
        let relative = Some(OsStr::new("."));
        assert_ne!(GuiApp::Dbeaver.find(relative), Some("./dbeaver-ce".into()));
    }
}
