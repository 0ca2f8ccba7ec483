//! What the server says first.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html>

use std::io;

use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;

use super::packets::malformed;

/// The nonce's length; on the wire it may end in a zero byte.
const NONCE: usize = 20;
/// MariaDB 10 calls itself so before its own version, for replicas of old.
const MARIADB_PREFIX: &str = "5.5.5-";

/// What the server is, and what passwords are mixed with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// As the server has it, as `8.0.36-google` or `10.11.6-MariaDB`.
    pub(super) version: String,
    /// The session's number, for `KILL`.
    pub(super) session: u32,
    pub(super) nonce: Vec<u8>,
    /// How the server would like passwords.
    pub(super) plugin: Vec<u8>,
    pub(super) capabilities: CapabilityFlags,
}

impl Greeting {
    pub(super) fn parse(packet: &[u8]) -> io::Result<Self> {
        Self::parse_whole(ParseBuf(packet)).ok_or_else(|| malformed("this is no MySQL server"))
    }

    fn parse_whole(mut rest: ParseBuf<'_>) -> Option<Self> {
        if rest.checked_eat_u8()? != 10 {
            return None;
        }
        let end = rest.0.iter().position(|&byte| byte == 0)?;
        let version = String::from_utf8_lossy(rest.checked_eat(end)?).into_owned();
        rest.checked_skip(1).then_some(())?;
        let session = rest.checked_eat_u32_le()?;
        let mut nonce = rest.checked_eat(8)?.to_vec();
        rest.checked_skip(1).then_some(())?;
        let low = rest.checked_eat_u16_le()?;
        // The character set and the state.
        rest.checked_skip(3).then_some(())?;
        let high = rest.checked_eat_u16_le()?;
        let capabilities = u32::from(high) << 16 | u32::from(low);
        let nonce_length = usize::from(rest.checked_eat_u8()?);
        rest.checked_skip(10).then_some(())?;
        let rest_of_nonce = nonce_length.saturating_sub(8).max(13).min(rest.len());
        nonce.extend_from_slice(rest.checked_eat(rest_of_nonce)?);
        nonce.truncate(NONCE);
        let plugin = rest.0.split(|&byte| byte == 0).next().unwrap_or_default();
        Some(Self {
            version: version
                .strip_prefix(MARIADB_PREFIX)
                .unwrap_or(&version)
                .to_owned(),
            session,
            nonce,
            plugin: plugin.to_vec(),
            capabilities: CapabilityFlags::from_bits_truncate(capabilities),
        })
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }

    /// The version's numbers, as far as they are numbers.
    pub(super) fn number(&self) -> (u16, u16, u16) {
        let mut parts = self.version.split(|c: char| !c.is_ascii_digit());
        let mut part = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        (part(), part(), part())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A greeting as MySQL sends it, with a nonce of `n`s.
    pub(in super::super) fn greeting(
        version: &str,
        plugin: &str,
        capabilities: CapabilityFlags,
    ) -> Vec<u8> {
        let [a, b, c, d] = capabilities.bits().to_le_bytes();
        let parts: [&[u8]; 9] = [
            b"\x0a",
            version.as_bytes(),
            b"\0\x07\0\0\0nnnnnnnn\0",
            &[a, b],
            b"\xff\x02\0",
            &[c, d, 21],
            &[0; 10],
            b"nnnnnnnnnnnn\0",
            plugin.as_bytes(),
        ];
        let mut packet = parts.concat();
        packet.push(0);
        packet
    }

    #[test]
    fn a_greeting_is_read() {
        let packet = greeting(
            "8.0.36-google",
            "caching_sha2_password",
            CapabilityFlags::all(),
        );
        let read = Greeting::parse(&packet).unwrap();
        assert_eq!(read.version, "8.0.36-google");
        assert_eq!(read.number(), (8, 0, 36));
        assert_eq!(
            (read.session, read.nonce.as_slice()),
            (7, &[b'n'; NONCE][..])
        );
        assert_eq!(read.plugin, b"caching_sha2_password");
        assert_eq!(read.capabilities, CapabilityFlags::all());
        assert!(!read.is_mariadb());
        let maria = greeting("5.5.5-10.11.6-MariaDB", "", CapabilityFlags::empty());
        let maria = Greeting::parse(&maria).unwrap();
        assert!(maria.is_mariadb());
        assert_eq!(maria.number(), (10, 11, 6));
    }

    #[test]
    fn nonsense_is_no_greeting() {
        let packet = greeting("8.0.36", "", CapabilityFlags::empty());
        for end in 0..packet.len() - 14 {
            let cut = Greeting::parse(&packet[..end]);
            assert!(cut.is_err() || end > 40, "{end}");
        }
        for nonsense in [
            &b"SSH-2.0-OpenSSH_9\r\n"[..],
            b"R\0\0\0\x08",
            b"\x0a",
            b"\x09abc\0",
        ] {
            assert!(Greeting::parse(nonsense).is_err());
        }
    }
}
