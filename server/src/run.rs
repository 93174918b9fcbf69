//! `colophon run`: some of the roles in this process, beside others that share its database and its broker.

use crate::cli::{Global, RunOptions};

/// Runs the command.
#[cfg(not(feature = "distributed"))]
pub async fn run(_: &Global, _: RunOptions) -> anyhow::Result<()> {
    anyhow::bail!(
        "this program was built without the distributed form: `cargo build --release --features distributed` builds it \
         with that; `colophon serve` runs every role in one process"
    )
}

/// Runs the command.
#[cfg(feature = "distributed")]
pub async fn run(global: &Global, options: RunOptions) -> anyhow::Result<()> {
    use crate::cli::say;
    use crate::distributed::Process;
    use crate::host::Host;
    use crate::settings::Settings;

    let mut settings = Settings::load(global)?;
    settings.server.listen = options.listen.unwrap_or(settings.server.listen);
    let (host, directory) = Host::open(&settings).await?;
    let (address, data) = (host.address, host.layout.path().display().to_string());
    let mut process = Process::start(&settings, &options.roles, directory, &host).await?;
    let (served, mut asked) = host.serve(&settings, process.api.clone(), process.admin.clone());
    let names: Vec<_> = options.roles.iter().map(|role| role.name()).collect();
    let told = say(format_args!("colophon is ready on http://{address} as {} (data in {data})", names.join(", ")));
    if let Err(error) = told {
        tracing::warn!(%error, "the process is ready, and cannot say so");
    }
    let failure = tokio::select! {
        () = asked.to_end() => None,
        error = process.failure() => Some(error),
    };
    served.stop();
    if let Some(error) = failure {
        tracing::error!(%error, "the process ends");
        return Err(error);
    }
    served.drain().await?;
    process.stop().await
}
