//! The saga of a purchase: sends the stocks what is due for an order, and the order what they answered, until nothing is due.
//!
//! It remembers nothing: what is due follows from the order, and when to look at it is a row of a view. A step that was
//! begun before a crash is taken again, under the same command id. Two runners may drive one order: each answers it only as
//! it has seen it, and looks again where the other was first.

#[cfg(test)]
mod tests;

use crate::agenda::{Agenda, Due};
use command_side::commands::{Answer, Commands, Lane, Loaded, Refusal, Request, Unavailable};
use domain::book::BookId;
use domain::order::{self, Order, OrderId};
use domain::purchase::{self, Step};
use domain::stock::{self, Location};
use domain::{Command, Rejection, State};
use futures_util::future::{BoxFuture, join_all};
use platform::event_log::{Position, StreamId};
use platform::seam::Seam;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Purchases driven at once.
const CONCURRENT: usize = 256;

/// How long the saga rests after a failure, the first time and at most.
const REST_MIN: Duration = Duration::from_millis(20);
const REST_MAX: Duration = Duration::from_secs(2);

/// How often an order may turn out to have changed meanwhile before it is left alone for a while.
const LOOKS: u32 = 100;

/// The saga's runner.
pub struct Saga {
    /// Where its commands go.
    pub commands: Arc<dyn Commands>,
    /// What is due.
    pub agenda: Arc<dyn Agenda>,
    /// For the time, and for the ids of commands that no repeat has to find.
    pub seam: Seam,
}

/// Why a purchase does not go on for now. It stays due.
#[derive(Debug, Error)]
enum Stuck {
    #[error("the process is going down")]
    Stopping,
    #[error("a stock refused what it cannot refuse to {0:?}")]
    Refused(Step),
    #[error("the order refused an answer: {0}")]
    Order(Refusal),
    #[error("the stream holds no order")]
    NoOrder,
}

impl Saga {
    /// Drives what is due until it is stopped. Nothing is driven before the agenda has come as far as `head`, the end of
    /// the log at the start: what it says before that is of the past.
    pub async fn run(self, head: Position, stop: CancellationToken) {
        if stop.run_until_cancelled(self.agenda.reached(head)).await.is_none() {
            return;
        }
        let mut driving = JoinSet::new();
        // Under way (none), or done, and shown by the agenda from that position on.
        let mut known: HashMap<OrderId, Option<Position>> = HashMap::new();
        let mut seen = Position(0);
        loop {
            let limit = u32::try_from(known.len() + CONCURRENT).unwrap_or(u32::MAX);
            let mut wake = REST_MAX;
            match self.agenda.first(limit).await {
                Ok((due, position)) => {
                    seen = position;
                    known.retain(|_, done| done.is_none_or(|done| done > position));
                    let now = self.seam.clock.now().0;
                    for Due { order, at } in due {
                        if at.0 > now {
                            wake = wake.min(Duration::from_micros(at.0.abs_diff(now)));
                            break;
                        }
                        if driving.len() >= CONCURRENT {
                            break;
                        }
                        if let Entry::Vacant(unknown) = known.entry(order) {
                            unknown.insert(None);
                            driving.spawn(drive(Arc::clone(&self.commands), self.seam.clone(), order));
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "what is due cannot be read; trying again"),
            }
            metrics::gauge!("saga_purchases_driven").set(driving.len() as f64);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(done) = driving.join_next() => {
                    let mut done = Some(done);
                    while let Some(ended) = done {
                        let (order, position) = ended.expect("driving a purchase does not panic, and nobody aborts it");
                        known.insert(order, Some(position));
                        done = driving.try_join_next();
                    }
                    if driving.len() + 1 < CONCURRENT {
                        // There was room before: what else is due shows when the agenda moves.
                        let moved = self.agenda.reached(Position(seen.0 + 1));
                        tokio::select! {
                            () = stop.cancelled() => return,
                            () = moved => {}
                            () = sleep(REST_MIN) => {}
                        }
                    }
                }
                () = self.agenda.reached(Position(seen.0 + 1)) => {}
                () = sleep(wake) => {}
            }
        }
    }
}

/// Takes an order's steps until nothing is due; answers with the position that shows it.
async fn drive(commands: Arc<dyn Commands>, seam: Seam, id: OrderId) -> (OrderId, Position) {
    match steps(commands.as_ref(), &seam, id).await {
        Ok(position) => (id, position),
        Err(stuck) => {
            if !matches!(stuck, Stuck::Stopping) {
                tracing::error!(order = %id, error = %stuck, "order {id} does not go on; trying again");
                metrics::counter!("saga_stuck_total").increment(1);
                sleep(REST_MAX).await;
            }
            (id, Position(0))
        }
    }
}

async fn steps(commands: &dyn Commands, seam: &Seam, id: OrderId) -> Result<Position, Stuck> {
    let stream = StreamId::new(&schemas::stream::order(id));
    let mut loaded = look(commands, &stream).await?;
    let (mut reached, mut looks) = (Position(0), 0);
    loop {
        let order = order_of(&loaded)?;
        let now = domain::timestamp::Timestamp(seam.clock.now().0);
        let (command, reserved) = match (purchase::next(order), purchase::deadline(order)) {
            (Some(step), _) => {
                let answers = take(commands, id, &step).await?;
                let reserved = reserved(&step, &answers);
                (order::Command::Answer(step.answer(answers).ok_or(Stuck::Refused(step))?), reserved)
            }
            (None, Some(deadline)) if deadline <= now => (order::Command::Expire { now }, Vec::new()),
            (None, _) => return Ok(reached),
        };
        let request = Request::unkeyed(stream.clone(), Command::Order(command), seam);
        let request = Request { lane: Lane::System, if_match: Some(loaded.revision), ..request };
        let Answer { outcome, position } = patiently(|| commands.send(request.clone())).await?;
        reached = position;
        loaded = match outcome {
            Ok(loaded) => loaded,
            // The customer did something, or another runner was first.
            Err(Refusal::Outdated(_)) if looks < LOOKS => {
                looks += 1;
                let loaded = look(commands, &stream).await?;
                let orphaned = purchase::orphaned(order_of(&loaded)?, &reserved);
                if !orphaned.is_empty() {
                    give_back(commands, id, orphaned).await?;
                }
                loaded
            }
            Err(refusal) => return Err(Stuck::Order(refusal)),
        };
    }
}

async fn look(commands: &dyn Commands, stream: &StreamId) -> Result<Loaded, Stuck> {
    let peeked = patiently(|| commands.peek(Lane::System, vec![stream.clone()])).await?;
    peeked.into_iter().next().ok_or(Stuck::NoOrder)
}

/// What each book's stock answered.
type Answers = Vec<(BookId, Result<(), stock::Rejection>)>;

/// Sends a step's commands, all at once, and gathers the answers.
async fn take(commands: &dyn Commands, id: OrderId, step: &Step) -> Result<Answers, Stuck> {
    let name = step.name();
    let asked = step.commands(id).into_iter().map(|(book, command)| {
        let stream = StreamId::new(&schemas::stream::stock(book, &Location::main()));
        let request = Request::of_step(id.into(), &name, stream, Command::Stock(command));
        async move {
            let answer = patiently(|| commands.send(request.clone())).await?;
            match answer.outcome {
                Ok(_) => Ok((book, Ok(()))),
                Err(Refusal::Rejected(Rejection::Stock(rejection))) => Ok((book, Err(rejection))),
                Err(refusal) => Err(Stuck::Order(refusal)),
            }
        }
    });
    let answers = join_all(asked).await.into_iter().collect::<Result<_, Stuck>>()?;
    metrics::counter!("saga_steps_total", "step" => step_kind(step)).increment(1);
    Ok(answers)
}

/// The books whose copies a step has held.
fn reserved(step: &Step, answers: &Answers) -> Vec<BookId> {
    let Step::Reserve(_) = step else { return Vec::new() };
    answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(book, _)| *book).collect()
}

/// Releases copies that are held for an order that does not know of it.
async fn give_back(commands: &dyn Commands, id: OrderId, orphaned: Vec<BookId>) -> Result<(), Stuck> {
    let step = Step::Release(orphaned);
    let answers = take(commands, id, &step).await?;
    // What another runner gave back, or the order itself, is not held any more.
    let refused = |(_, answer): &(BookId, Result<(), stock::Rejection>)| {
        answer.as_ref().is_err_and(|rejection| *rejection != stock::Rejection::NoHold)
    };
    if answers.iter().any(refused) { Err(Stuck::Refused(step)) } else { Ok(()) }
}

fn step_kind(step: &Step) -> &'static str {
    match step {
        Step::Reserve(_) => "reserve",
        Step::Commit(_) => "commit",
        Step::Release(_) => "release",
        Step::Restock { .. } => "restock",
    }
}

fn order_of(loaded: &Loaded) -> Result<&Order, Stuck> {
    match loaded.state.as_ref() {
        State::Order(order) => Ok(order),
        _ => Err(Stuck::NoOrder),
    }
}

/// Asks until there is an answer: what failed may have taken effect, and the repeat finds that out.
async fn patiently<'a, T>(ask: impl Fn() -> BoxFuture<'a, Result<T, Unavailable>>) -> Result<T, Stuck> {
    let mut rest = REST_MIN;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(Unavailable::Stopping) => return Err(Stuck::Stopping),
            Err(_) => sleep(rest).await,
        }
        rest = (rest * 2).min(REST_MAX);
    }
}
