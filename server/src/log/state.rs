//! `colophon log state`: what an aggregate is, or was, folded from its events.

use super::PAGE;
use super::options::{Bound, StateOptions};
use super::output::{Output, pairs, time};
use anyhow::{Context, bail};
use domain::State;
use domain::order::holds::Stage;
use platform::event_log::reader::LogReader;
use platform::event_log::{Position, RecordedEvent, Revision, StreamId};
use platform::seam::Timestamp;
use schemas::api;
use schemas::stream::Owner;
use serde::Serialize;
use serde_json::{Value, json};

/// The answer, as JSON has it.
#[derive(Serialize)]
struct Found {
    stream: String,
    revision: u64,
    position: u64,
    at: String,
    state: Value,
}

/// An aggregate, as far as its events were folded.
struct Folded {
    state: State,
    revision: Revision,
    position: Position,
    at: Timestamp,
}

/// Runs the command.
pub async fn run(log: &LogReader, options: StateOptions) -> anyhow::Result<()> {
    let stream = StreamId::new(&options.stream);
    let owner = schemas::stream::parse(stream.as_str());
    let owner = owner.with_context(|| {
        format!("{stream} is no stream of an aggregate: expected book-ID, stock-LOCATION-ID or order-ID")
    })?;
    let folded = fold(log, &stream, &owner, options.at).await?;
    let found = Found {
        stream: stream.to_string(),
        revision: folded.revision.0,
        position: folded.position.0,
        at: time(folded.at),
        state: value(&owner, &folded.state, folded.revision)?,
    };
    let mut out = Output::new(options.form);
    let state = serde_json::to_string_pretty(&found.state)?;
    out.print(&found, |out| {
        let place = [
            ("stream", found.stream.clone()),
            ("revision", found.revision.to_string()),
            ("position", found.position.to_string()),
            ("at", found.at.clone()),
        ];
        pairs(out, &place)?;
        writeln!(out, "{state}")
    })?;
    Ok(out.flush()?)
}

async fn fold(log: &LogReader, stream: &StreamId, owner: &Owner, until: Option<Bound>) -> anyhow::Result<Folded> {
    let (position, at) = (Position(0), Timestamp(0));
    let mut folded = Folded { state: schemas::stream::empty(owner), revision: Revision(0), position, at };
    loop {
        let events = log.read_stream(stream, folded.revision, PAGE).await?;
        for event in &events {
            if until.is_some_and(|until| !until.includes(event)) {
                return existing(folded, stream);
            }
            folded = folded.take(event)?;
        }
        if events.len() < PAGE {
            return existing(folded, stream);
        }
    }
}

impl Folded {
    fn take(self, event: &RecordedEvent) -> anyhow::Result<Self> {
        let envelope = &event.envelope;
        let decoded = schemas::events::decode(&envelope.event_type, envelope.version, &event.data);
        let decoded = decoded.with_context(|| format!("position {}, stream {}", event.position.0, event.stream))?;
        Ok(Self {
            state: domain::evolve(self.state, &decoded),
            revision: event.revision,
            position: event.position,
            at: envelope.recorded_at,
        })
    }
}

fn existing(folded: Folded, stream: &StreamId) -> anyhow::Result<Folded> {
    if folded.revision == Revision(0) {
        bail!("stream {stream} has no events, or none as of then");
    }
    Ok(folded)
}

/// A state with the names that the API has for its parts, and what the API does not show.
fn value(owner: &Owner, state: &State, revision: Revision) -> anyhow::Result<Value> {
    let revision = revision.0;
    let body = match (owner, state) {
        (Owner::Book(id), State::Book(book)) => serde_json::to_value(api::book::Book::new(*id, book, revision))?,
        (Owner::Stock(id, location), State::Stock(stock)) => {
            let body = api::stock::Stock::new(stock.figures(), revision);
            with(
                serde_json::to_value(body)?,
                [("book_id", json!(id.to_string())), ("location", json!(location.as_str()))],
            )
        }
        (Owner::Order(id), State::Order(order)) => {
            let placed = order.placed().context("the order's first event did not place it")?;
            let holds = match placed.holds.stage() {
                Stage::Asked => "asked",
                Stage::Held => "held",
                Stage::Ended => "ended",
            };
            let body = serde_json::to_value(api::order::Order::new(*id, placed, revision))?;
            with(body, [("customer_id", json!(placed.placement.customer.0)), ("holds", json!(holds))])
        }
        _ => bail!("the stream holds another kind of aggregate than its name says"),
    };
    Ok(body)
}

fn with<const N: usize>(mut body: Value, more: [(&str, Value); N]) -> Value {
    if let Value::Object(fields) = &mut body {
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    body
}
