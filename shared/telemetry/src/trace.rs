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

    /// Reads the trace header of AWS X-Ray, `Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1`,
    /// also with other fields, in any order. X-Ray's trace id is the same 32 digits, cut in two. A header without a parent
    /// is of a trace's first service, whose parent is then the end of the trace id.
    pub fn read_xray(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut fields = text.split(';').filter_map(|field| field.trim().split_once('='));
            fields.find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let (time, rest) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let (time, rest) = (hex(time, 8)?, hex(rest, 24)?);
        let trace = time << 96 | rest;
        let parent = match field("Parent") {
            Some(parent) => u64::try_from(hex(parent, 16)?).ok()?,
            None => u64::try_from(rest & u128::from(u64::MAX)).ok()?,
        };
        let valid = trace != 0 && parent != 0;
        valid.then_some(Self { trace, parent, flags: u8::from(field("Sampled") == Some("1")) })
    }

    /// The trace id as AWS X-Ray writes it: `1-`, 8 digits, `-`, and the other 24.
    pub fn xray_id(self) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "1-{:08x}-{:024x}", self.trace >> 96, self.trace & (u128::MAX >> 32)))
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
    fn a_header_of_xray_is_the_trace_with_the_same_digits() {
        const ROOT: &str = "Root=1-58406520-a006649127e371903a2de979";
        for (header, traceparent) in [
            ("Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1", "53995c3f42cd8ad8-01"),
            (
                "Parent=53995c3f42cd8ad8;Sampled=0;Lineage=2:a87bd80c:15;Root=1-58406520-a006649127e371903a2de979",
                "53995c3f42cd8ad8-00",
            ),
            (
                "Root=1-58406520-a006649127e371903a2de979; Parent=53995c3f42cd8ad8; Sampled=?; Self=1-2-3",
                "53995c3f42cd8ad8-00",
            ),
            (ROOT, "27e371903a2de979-00"),
        ] {
            let read = TraceContext::read_xray(header).unwrap_or_else(|| panic!("{header}"));
            assert_eq!(read.to_string(), format!("00-58406520a006649127e371903a2de979-{traceparent}"), "{header}");
            assert_eq!(format!("Root={}", read.xray_id()), ROOT);
        }
        for wrong in [
            "",
            "Root=",
            "Sampled=1",
            "1-58406520-a006649127e371903a2de979",
            "Root=2-58406520-a006649127e371903a2de979",
            "Root=1-58406520a006649127e371903a2de979",
            "Root=1-5840652-0a006649127e371903a2de979",
            "Root=1-58406520-A006649127E371903A2DE979",
            "Root=1-58406520-a006649127e371903a2de97",
            "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8",
            "Root=1-58406520-a006649127e371903a2de979;Parent=0000000000000000",
            "Root=1-58406520-a006649127e371903a2de979;Parent=short",
            "root=1-58406520-a006649127e371903a2de979",
            "Root=1-é8406520-a006649127e371903a2de979",
        ] {
            assert_eq!(TraceContext::read_xray(wrong), None, "{wrong}");
        }
        // Every trace of ours has an id of X-Ray's form, and leads back.
        for trace in [1, u128::MAX, 1 << 96, u128::MAX >> 32, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736] {
            let ours = TraceContext::begin(trace, 7);
            let theirs = TraceContext::read_xray(&format!("Root={};Parent=0000000000000007;Sampled=1", ours.xray_id()));
            assert_eq!(theirs, Some(ours));
        }
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
