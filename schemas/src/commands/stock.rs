//! Commands to stocks: each is the movement that it asks for.

use domain::stock::{Command, Copies, Event, Figures, Movement};

/// The event that a command asks for. Of the figures after it only those mean anything that the command has.
pub(super) fn asked(command: &Command) -> Event {
    let mut after = Figures::default();
    let movement = match command.clone() {
        Command::Adjust { delta, reason } => Movement::Adjusted { delta, reason },
        Command::Count { on_hand, taken_at } => {
            after.on_hand = on_hand.get();
            Movement::Counted { taken_at }
        }
        Command::Reserve { order, copies } => Movement::Reserved { order, copies },
        Command::Commit { order } => Movement::Committed { order },
        Command::Release { order } => Movement::Released { order },
        Command::TakeBack { order, copies } => Movement::TakenBack { order, copies },
    };
    Event { movement, after }
}

/// The command that asks for an event.
pub(super) fn asking(Event { movement, after }: Event) -> Command {
    match movement {
        Movement::Adjusted { delta, reason } => Command::Adjust { delta, reason },
        Movement::Counted { taken_at } => {
            let on_hand = Copies::new(after.on_hand).expect("figures that were read are within their bound");
            Command::Count { on_hand, taken_at }
        }
        Movement::Reserved { order, copies } => Command::Reserve { order, copies },
        Movement::Committed { order } => Command::Commit { order },
        Movement::Released { order } => Command::Release { order },
        Movement::TakenBack { order, copies } => Command::TakeBack { order, copies },
    }
}
