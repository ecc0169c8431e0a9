//! The `dukou` program. Everything it does is in the library beside it, where tests can reach it.

/// Requests are taken up by one thread and their records freed by another, which this allocator
/// does at half the cost of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    dukou::run()
}
