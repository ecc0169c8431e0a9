//! `dukou-bench`: see the README beside it.

fn main() -> anyhow::Result<()> {
    dukou_bench::cli::run()
}
