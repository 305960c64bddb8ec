//! W3C trace context: it ties together the log lines of a request, its jobs and their workers.

use std::fmt;

/// A parsed `traceparent` header (W3C Trace Context, level 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    parent: u64,
    flags: u8,
}

impl TraceContext {
    /// Starts a trace from two random numbers.
    pub const fn begin(trace: u128, parent: u64) -> Self {
        // Zero is invalid in both fields.
        Self { trace: if trace == 0 { 1 } else { trace }, parent: if parent == 0 { 1 } else { parent }, flags: 1 }
    }

    /// Parses a `traceparent`; none if it is invalid. A later version may append fields.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let mut number = |digits| hex(parts.next()?, digits);
        let (version, trace, parent, flags) = (number(2)?, number(32)?, number(16)?, number(2)?);
        let more = parts.next().is_some();
        let valid = version != 0xff && trace != 0 && parent != 0 && (version > 0 || !more);
        // Version 00 defines only the first flag.
        valid.then_some(Self { trace, parent: u64::try_from(parent).ok()?, flags: u8::from(flags % 2 == 1) })
    }

    /// The trace id: 32 hexadecimal digits.
    pub fn id(self) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{:032x}", self.trace))
    }
}

/// Writes the `traceparent` header.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, self.flags)
    }
}

/// Reads exactly this many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(plain)).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_reads_back() {
        let read = TraceContext::read(VALID).unwrap();
        assert_eq!((read.to_string().as_str(), read.id().to_string().as_str()), (VALID, &VALID[3..35]));
        assert_eq!(TraceContext::read(&format!("cc{}-what-comes-later", &VALID[2..])), Some(read));
        let begun = TraceContext::begin(0, 0);
        assert_eq!(TraceContext::read(&begun.to_string()), Some(begun));
    }

    #[test]
    fn an_invalid_traceparent_is_none() {
        let garbage = [
            String::new(),
            "00".to_owned(),
            VALID.to_uppercase(),
            format!("{VALID} "),
            format!("{VALID}-more"),
            format!("cc{}more", &VALID[2..]),
            VALID.replacen("00-", "ff-", 1),
            VALID.replacen("00-", "0g-", 1),
            VALID.replacen("00-", "+0-", 1),
            VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            VALID.replace("-00f067aa0ba902b7", "00f067aa0ba902b7-"),
            VALID.replace("4bf9", "4bß9"),
            VALID.replace('-', "_"),
            "é".repeat(40),
        ];
        for garbage in garbage {
            assert_eq!(TraceContext::read(&garbage), None, "{garbage}");
        }
    }
}
