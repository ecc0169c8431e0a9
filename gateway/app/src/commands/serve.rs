//! `dukou serve`: runs the gateway until it is told to stop.

use std::path::Path;
use std::process::ExitCode;

use dukou_spi::settings::Severity;

use crate::config::{self, Loaded};
use crate::logging::{self, LogForm};
use crate::outside::Outside;
use crate::reload::Asked;
use crate::service::Service;
use crate::traces::Traces;
use crate::{service_manager, shutdown};

pub fn run(directory: &Path, form: LogForm) -> ExitCode {
    // Before anything is logged, so that it is known who collects.
    let settings = config::trace_settings(directory, config::process_variables());
    let traces = Traces::start(settings.as_ref());
    let _logging = logging::start_with(form, "info", traces.as_ref().ok().and_then(Option::as_ref));
    if let Err(error) = &traces {
        tracing::error!("traces cannot be sent: {error:#}");
    }
    let outside = Outside::new();
    let mut loaded = config::load(directory, config::process_variables(), config::Factories::builtin(), |insecure| {
        outside.context(insecure)
    });
    report(&loaded);
    let Some(settings) = loaded.gateway.take() else {
        tracing::error!("gateway.toml cannot be used; `dukou check` lists every problem");
        return ExitCode::FAILURE;
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start threads");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let count = loaded.tenants.served().count();
        // One wait for both, so that no signal falls between them: a database may be waited for at the start.
        let mut asked_to_end = std::pin::pin!(shutdown::requested());
        let asked_to_reload = Asked::listen();
        let mut service = tokio::select! {
            started = Service::start(settings, &loaded.tenants, &outside) => started?,
            reason = &mut asked_to_end => {
                tracing::info!(reason = reason?, "asked to end before the store was open");
                return Ok(());
            }
        };
        service.follow(loaded.tenants, asked_to_reload);
        tracing::info!(
            public = %service.public,
            admin = %service.admin,
            tenants = count,
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        service_manager::started();
        let reason = asked_to_end.await?;
        service_manager::stopping();
        tracing::info!(reason, "draining");
        tokio::select! {
            () = service.stop() => {}
            _ = shutdown::requested() => tracing::warn!("asked twice to stop; not waiting any longer"),
        }
        anyhow::Ok(())
    });
    match ended {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn report(loaded: &Loaded) {
    for problem in &loaded.problems {
        match problem.severity {
            Severity::Error => tracing::error!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
        }
    }
    // Without the gateway's own settings nobody is served.
    for file in loaded.refused.iter().filter(|_| loaded.gateway.is_some()) {
        tracing::error!(file = %file.display(), "this tenant is not served; the others are");
    }
}
