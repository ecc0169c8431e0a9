//! The signals that end the program.

/// Waits until the process is asked to end (SIGTERM, or ctrl-c) and says by what.
///
/// # Errors
/// When the signals cannot be listened for.
#[cfg(unix)]
pub async fn requested() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

/// As on Unix, by ctrl-c alone.
///
/// # Errors
/// When it cannot be listened for.
#[cfg(not(unix))]
pub async fn requested() -> std::io::Result<&'static str> {
    tokio::signal::ctrl_c().await.map(|()| "ctrl-c")
}
