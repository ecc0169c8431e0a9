//! What a service manager is told that waits for it (systemd's `Type=notify`). Without one, nothing.

/// Requests are answered from now on.
pub fn started() {
    #[cfg(target_os = "linux")]
    tell(sd_notify::NotifyState::Ready);
}

/// What is in flight is being finished.
pub fn stopping() {
    #[cfg(target_os = "linux")]
    tell(sd_notify::NotifyState::Stopping);
}

#[cfg(target_os = "linux")]
fn tell(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        // It ends a service whose start it never hears of, so that somebody will look here.
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
