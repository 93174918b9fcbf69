//! W3C trace context: which request caused what.

use crate::seam::Seam;

/// The ids of one request's span (W3C Trace Context, version 00).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: String,
    span_id: String,
    sampled: bool,
}

impl TraceContext {
    /// Continues the trace of a `traceparent` header, or begins a new one where there is none that can be read.
    pub fn continue_or_begin(traceparent: Option<&str>, seam: &Seam) -> Self {
        let span_id = hex(&seam.chance.bytes()[..8]);
        match traceparent.and_then(parse) {
            Some((trace_id, sampled)) => Self { trace_id, span_id, sampled },
            None => Self { trace_id: hex(&seam.chance.bytes()), span_id, sampled: true },
        }
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The header that hands this context on.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// The trace id and sampling flag of a well-formed header; a later version is read as version 00, as the standard asks.
fn parse(header: &str) -> Option<(String, bool)> {
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
    well_formed.then(|| (trace_id.to_owned(), flags & 1 == 1))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
