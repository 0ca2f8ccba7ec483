//! What `sqlcmd` is told.

use std::ffi::OsString;

use super::Login;
use crate::error::{ErrorKind, Result};
use crate::tunnel::Endpoint;

/// Where to go and as whom. The certificate is the tunnel's and not looked at: the way to it does not leave this machine.
///
/// <https://learn.microsoft.com/sql/tools/sqlcmd/sqlcmd-utility>
pub(super) fn args(login: &Login, endpoint: &Endpoint) -> Result<Vec<OsString>> {
    let Endpoint::Tcp(address) = endpoint else {
        return Err(ErrorKind::Usage.error("`sqlcmd` cannot dial a socket: it needs a port"));
    };
    Ok(vec![
        "-S".into(),
        format!("tcp:{},{}", address.ip(), address.port()).into(),
        "-d".into(),
        login.database.clone().into(),
        "-U".into(),
        login.user.clone().into(),
        "-C".into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::client::tests::{ada, socket};
    use super::*;

    #[test]
    fn a_port_and_no_password() {
        let tcp = Endpoint::Tcp("127.0.0.1:11433".parse().unwrap());
        assert_eq!(
            args(&ada(), &tcp).unwrap(),
            [
                "-S",
                "tcp:127.0.0.1,11433",
                "-d",
                "payments",
                "-U",
                "ada@acme.example",
                "-C"
            ]
        );
        assert_eq!(
            args(&ada(), &socket()).unwrap_err().kind(),
            ErrorKind::Usage
        );
    }
}
