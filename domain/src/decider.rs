//! The shape of every aggregate: a pure decision and a pure fold.

/// An aggregate as two functions without services, after Chassaing's "functional event sourcing decider".
pub trait Decider {
    /// What the aggregate is; its default is the aggregate before its first event.
    type State: Default;
    /// What is asked of it.
    type Command;
    /// What happened to it.
    type Event;
    /// Which rule refused.
    type Rejection;

    /// The events that follow from `command`, or the rule that refuses it.
    fn decide(state: &Self::State, command: Self::Command) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// The state after `event`. Checks nothing: it happened.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;
}

/// Folds `events` over the aggregate's first state.
pub fn fold<'a, D: Decider>(events: impl IntoIterator<Item = &'a D::Event>) -> D::State
where
    D::Event: 'a,
{
    events.into_iter().fold(D::State::default(), D::evolve)
}
