//! The signals that end the program, and those who wait in between.

use std::time::Duration;

use tokio::sync::watch;

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

/// Waits for `period`, or until the program is told to stop.
pub(crate) async fn pause(period: Duration, stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = tokio::time::timeout(period, stopping.wait_for(|stop| *stop)).await;
}
