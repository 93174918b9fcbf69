//! The command line of `colophon replay`.

use crate::log::options::{Bound, Form, bound};
use clap::{Args, Subcommand};

/// What to do with the views.
#[derive(Debug, Subcommand)]
pub enum ReplayCommand {
    /// Build views anew from the log beside the live ones, compare both row by row, and switch
    ///
    /// Reads and writes go on meanwhile. Every row that is not the same in both is printed. If there are none, readers see
    /// the new generation from one moment to the next, and the one before is kept for `replay rollback`. If there are
    /// some, it ends with 1 and readers see what they saw: `replay switch VIEW GENERATION --accept-differences` takes the
    /// new one all the same, `replay drop` removes it. A rebuild that is broken off leaves the live views as they are.
    Rebuild(RebuildOptions),
    /// Have readers see another generation of a view, after comparing it with the live one
    Switch(SwitchOptions),
    /// Have readers see the generation that they saw before the last switch, as it is: it was fed all the while
    Rollback {
        /// Which view
        view: String,
        /// How to print what is done.
        #[command(flatten)]
        form: Form,
    },
    /// Remove a generation that readers do not see
    Drop {
        /// Which view
        view: String,
        /// Which generation
        generation: u32,
    },
    /// Print the generations of every view: how far they are, and what they have set aside
    List {
        /// How to print them.
        #[command(flatten)]
        form: Form,
    },
    /// Compare what each view has taken with what the log has for it: counts and checksums of events
    ///
    /// A server does this all the time, slowly, and says so in its metrics; this does it now, as fast as it can. It ends
    /// with 1 if a view has missed an event or taken one twice, or if a view does not move although the log does.
    Verify {
        /// How to print the verdicts.
        #[command(flatten)]
        form: Form,
    },
    /// Print what a view's rows about an object were at a position or a time
    At(AtOptions),
}

/// What to rebuild.
#[derive(Debug, Args)]
pub struct RebuildOptions {
    /// Which views, such as books or search; `replay list` prints all names
    #[arg(value_name = "VIEW", required_unless_present = "all", conflicts_with = "all")]
    pub views: Vec<String>,
    /// Every view, one after the other
    #[arg(long)]
    pub all: bool,
    /// Switch although rows differ, as they do where the view's code was mended
    #[arg(long, conflicts_with = "no_switch")]
    pub accept_differences: bool,
    /// Build and compare only; `replay switch` then switches
    #[arg(long)]
    pub no_switch: bool,
    /// How to print what is done.
    #[command(flatten)]
    pub form: Form,
}

/// What to switch to.
#[derive(Debug, Args)]
pub struct SwitchOptions {
    /// Which view
    pub view: String,
    /// Which generation
    pub generation: u32,
    /// Switch although rows differ
    #[arg(long)]
    pub accept_differences: bool,
    /// How to print what is done.
    #[command(flatten)]
    pub form: Form,
}

/// Which rows to print.
#[derive(Debug, Args)]
pub struct AtOptions {
    /// As they were at a position of the log, or at a time such as 2026-11-25T06:30:00Z
    #[arg(value_name = "POSITION|TIME", value_parser = bound)]
    pub at: Bound,
    /// Of which view, such as orders
    #[arg(long)]
    pub view: String,
    /// About which object: the id of a book or an order
    #[arg(long)]
    pub id: String,
    /// How to print them.
    #[command(flatten)]
    pub form: Form,
}
