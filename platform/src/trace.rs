//! W3C trace context: which request caused what.

use crate::seam::Seam;

/// The ids of one request's span (W3C Trace Context, version 00).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    // Hexadecimal digits, as they are always asked for.
    trace_id: [u8; 32],
    span_id: [u8; 16],
    sampled: bool,
}

impl TraceContext {
    /// Continues the trace of a `traceparent` header, or begins a new one where there is none that can be read.
    pub fn continue_or_begin(traceparent: Option<&str>, seam: &Seam) -> Self {
        let random = hex(&seam.chance.bytes());
        // A span's id has to be unique within its trace only, so the first span may share its trace's bytes.
        let span_id = *random.first_chunk().expect("32 digits begin with 16");
        match traceparent.and_then(parse) {
            Some((trace_id, sampled)) => Self { trace_id, span_id, sampled },
            None => Self { trace_id: random, span_id, sampled: true },
        }
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        digits(&self.trace_id)
    }

    /// The header that hands this context on.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id(), digits(&self.span_id), u8::from(self.sampled))
    }
}

/// The trace id and sampling flag of a well-formed header; a later version is read as version 00, as the standard asks.
fn parse(header: &str) -> Option<([u8; 32], bool)> {
    let mut fields = header.split('-');
    let (version, trace_id, span_id, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let lower_hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let zeros = |field: &str| field.bytes().all(|byte| byte == b'0');
    let well_formed = lower_hex(version, 2)
        && version != "ff"
        && lower_hex(trace_id, 32)
        && lower_hex(span_id, 16)
        && lower_hex(flags, 2)
        && !zeros(trace_id)
        && !zeros(span_id)
        && (version != "00" || fields.next().is_none());
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let trace_id = trace_id.as_bytes().try_into().ok()?;
    well_formed.then_some((trace_id, flags & 1 == 1))
}

fn hex(bytes: &[u8; 16]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |place: usize| {
        let byte = bytes[place / 2];
        DIGITS[usize::from(if place.is_multiple_of(2) { byte >> 4 } else { byte & 15 })]
    };
    std::array::from_fn(digit)
}

fn digits(ascii: &[u8]) -> &str {
    std::str::from_utf8(ascii).expect("hexadecimal digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::Timestamp;

    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn read(traceparent: Option<&str>) -> TraceContext {
        TraceContext::continue_or_begin(traceparent, &Seam::seeded(7, Timestamp(0)).0)
    }

    fn continues(traceparent: &str) -> bool {
        read(Some(traceparent)).trace_id() == TRACE_ID
    }

    /// The examples of the standard, sections 3.2.2.5 and 4.
    #[test]
    fn a_well_formed_header_is_continued_under_a_new_span() {
        for (header, flags) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "-01"),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "-00"),
            // Unknown flags are not handed on.
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", "-01"),
            // A later version may have more fields.
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "-01"),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings", "-01"),
        ] {
            let context = read(Some(header));
            assert_eq!(context.trace_id(), TRACE_ID, "{header}");
            let handed_on = context.traceparent();
            assert!(handed_on.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && handed_on.ends_with(flags));
            assert!(!handed_on.contains("00f067aa0ba902b7"), "{handed_on}");
            assert!(continues(&handed_on));
        }
    }

    #[test]
    fn what_is_not_well_formed_begins_a_new_trace() {
        for header in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e473.-00f067aa0ba902b7-01",
            "书-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(!continues(header), "{header}");
        }
        let zeros = read(Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
        assert_ne!(zeros.trace_id(), "0".repeat(32));
    }

    #[test]
    fn a_new_trace_is_sampled_and_unlike_the_last() {
        let (seam, _) = Seam::seeded(7, Timestamp(0));
        let first = TraceContext::continue_or_begin(None, &seam);
        let second = TraceContext::continue_or_begin(None, &seam);
        assert_ne!(first.trace_id(), second.trace_id());
        assert_eq!(first.trace_id().len(), 32);
        assert!(first.traceparent().ends_with("-01") && first.traceparent().len() == 55);
    }
}
