//! `mysql_native_password`: how a client shows that it knows a password without saying it.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods_native_password_authentication.html>

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN, digest};

/// Of what the server gives the client to show it with, in bytes.
pub(in crate::sandbox) const NONCE: usize = 20;
/// Of what shows it, in bytes.
pub(in crate::sandbox) const PROOF: usize = SHA1_OUTPUT_LEN;

/// What shows that `password` is known to the one who has given `nonce`.
pub(in crate::sandbox) fn proof(password: &str, nonce: &[u8; NONCE]) -> [u8; PROOF] {
    let once = sha1(password.as_bytes());
    let mut proof = sha1(&[&nonce[..], &sha1(&once)].concat());
    for (byte, mask) in proof.iter_mut().zip(once) {
        *byte ^= mask;
    }
    proof
}

/// What a server keeps of `password`, as `IDENTIFIED VIA mysql_native_password USING` takes it: enough to check proofs, and
/// of no use to make one.
#[cfg(unix)]
pub(super) fn kept(password: &str) -> String {
    let twice = sha1(&sha1(password.as_bytes()));
    format!("*{}", crate::hex::encode(&twice).to_uppercase())
}

fn sha1(bytes: &[u8]) -> [u8; SHA1_OUTPUT_LEN] {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    digest.as_ref().try_into().expect("SHA-1 has 20 bytes")
}

#[cfg(test)]
mod tests {
    use mysql_common::auth::plugins::mysql_native_password::scramble_native;

    use super::*;

    #[test]
    fn as_others_do_it() {
        let nonce = b"abcdefghijklmnopqrst";
        let expected = scramble_native(nonce, b"hunter2").unwrap();
        assert_eq!(proof("hunter2", nonce), expected);
        assert_ne!(proof("hunter3", nonce), expected);
        // `SELECT PASSWORD('password')`
        #[cfg(unix)]
        assert_eq!(
            kept("password"),
            "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
        );
    }
}
