//! Which views a process builds, and from what.

use super::ground::Ground;
use crate::cli::RoleName;
use crate::views::Views;
use platform::bus::Deliveries;
use platform::bus::kafka::feed::{Feed, Mode};
use platform::event_log::EventLog;
use projections::any_view::{self, AnyView};
use projections::health::Watched;
use projections::projector::Source;
use schemas::views::Row;
use schemas::views::purchase::PurchaseRow;
use schemas::views::search::SearchRow;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Who builds a view. Workers of one role share its partitions; every process with the role `query` has an index of its own.
fn builder(view: &str) -> RoleName {
    match view {
        PurchaseRow::NAME => RoleName::Reactor,
        SearchRow::NAME => RoleName::Query,
        _ => RoleName::Projector,
    }
}

/// What is to be fed.
pub(super) struct Feeds<'a> {
    pub(super) ground: &'a Ground,
    pub(super) views: &'a Views,
    pub(super) roles: &'a [RoleName],
}

impl Feeds<'_> {
    /// Starts a feed for each role that builds views; answers with these views.
    pub(super) fn start(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) -> Vec<Watched> {
        let log: Arc<dyn EventLog> = Arc::clone(&self.ground.log) as _;
        let builders = [RoleName::Projector, RoleName::Reactor, RoleName::Query];
        let builders: Vec<_> = builders.into_iter().filter(|role| self.roles.contains(role)).collect();
        for role in &builders {
            let mode = match role {
                RoleName::Query => Mode::All,
                role => Mode::Group(format!("{}.{}", self.ground.kafka.topic, role.name())),
            };
            let feed = Feed::start(self.ground.kafka.clone(), mode, Arc::clone(&log), stop.clone());
            let source = Source { log: Arc::clone(&log), deliveries: Arc::clone(&feed) as Arc<dyn Deliveries> };
            // Its partitions go to others at once if it says that it leaves.
            let stop_feed = stop.clone();
            tasks.spawn(async move {
                stop_feed.cancelled().await;
                feed.ended().await;
            });
            self.views.feed_from(&source, |view| builder(view.name()) == *role, tasks, stop);
        }
        self.views.keep(tasks, stop);
        self.views.all().into_iter().filter(|(view, _)| builders.contains(&builder(view.name()))).collect()
    }

    /// The views that this process builds or reads.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let reads = self.roles.contains(&RoleName::Query);
        let ours = |view: &&dyn AnyView| {
            let builder = builder(view.name());
            self.roles.contains(&builder) || reads && builder == RoleName::Projector
        };
        any_view::ALL.into_iter().filter(ours).map(|view| view.name()).collect()
    }
}
