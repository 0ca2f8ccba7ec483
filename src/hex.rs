//! Bytes as text, for names of files and for fingerprints.

use std::fmt::Write as _;

/// Two lower-case hexadecimal digits for each byte.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_for_each_byte() {
        assert_eq!(encode(&[0, 10, 255]), "000aff");
        assert_eq!(encode(&[]), "");
    }
}
