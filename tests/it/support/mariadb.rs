//! MariaDB, which is behind the sandbox's MySQL instance where it is installed.

use std::path::PathBuf;

use super::world::system_path;

/// The server. Packages keep it off a person's `PATH`.
pub(crate) fn server() -> Option<PathBuf> {
    find(
        "mariadbd",
        &["/usr/sbin", "/usr/libexec", "/opt/homebrew/bin"],
    )
}

/// MariaDB's own client.
pub(crate) fn client() -> Option<PathBuf> {
    find("mariadb", &["/usr/bin"])
}

/// Whether both are there. A test that is passed over for want of them says so.
#[expect(clippy::print_stdout, reason = "a test that is passed over says so")]
pub(crate) fn is_installed() -> bool {
    let installed = server().is_some() && client().is_some();
    if !installed {
        println!("passed over: needs MariaDB (apt install mariadb-server)");
    }
    installed
}

fn find(program: &str, places: &[&str]) -> Option<PathBuf> {
    let path = system_path();
    let on_path = std::env::split_paths(&path);
    on_path
        .chain(places.iter().map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|program| program.is_file())
}
