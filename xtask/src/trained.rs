//! The program compiled for what it does most (profile-guided optimization): built to count, put under the load of
//! `tests/bench`, and built again by what was counted, SQLite's C like our Rust.
//!
//! Code that nobody ran while it counted is laid out as if nobody ever would, so the load reaches both stores and
//! both coordinators.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::setup;
use crate::step::{cargo, cargo_with, is_installed, output, run};

const FOLDER: &str = "target/trained";

/// What of `dukou-bench` is run with the embedded coordinator.
const LOADS: &[&str] = &["notify", "create", "duplicates", "webhooks", "wechat-v3", "postgres"];
/// And what with Redis.
const LOADS_WITH_REDIS: &[&str] = &["notify", "create"];

/// Builds it with `build`, cargo's arguments, and says where it is.
///
/// # Errors
/// Also when the tools of rustc's own LLVM are not there, which alone can read what it counts.
pub fn build(build: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
    setup::ensure()?;
    let tools = Tools::find()?;
    let folder = std::path::absolute(FOLDER)?;
    let (counts, profile) = (folder.join("counts"), folder.join("counted.profdata"));
    if counts.exists() {
        std::fs::remove_dir_all(&counts)?;
    }
    std::fs::create_dir_all(&counts)?;

    let how = format!("generate={}", counts.display());
    let counting = tools.build("the program that counts", build, environment, "counting", &how)?;
    cargo("the load", &["build", "--profile", "dist", "--locked", "--package", "dukou-bench"])?;
    for load in LOADS {
        put_under(load, &counting, &folder, None)?;
    }
    let redis = Redis::start(&folder)?;
    for load in LOADS_WITH_REDIS {
        put_under(load, &counting, &folder, Some(&redis.url()))?;
    }
    drop(redis);
    run("what was counted", Command::new(&tools.profdata).args(["merge", "-o"]).arg(&profile).arg(&counts))?;
    let program = tools.build("the program", build, environment, "program", &format!("use={}", profile.display()))?;
    let place = folder.join("dukou");
    std::fs::copy(&program, &place).with_context(|| place.display().to_string())?;
    Ok(place)
}

fn put_under(load: &str, program: &Path, folder: &Path, redis: Option<&str>) -> anyhow::Result<()> {
    let mut bench = Command::new("target/dist/dukou-bench");
    bench.arg(load).arg("--binary").arg(program).arg("--directory").arg(folder);
    bench.envs(redis.map(|url| ("DUKOU__REDIS__URL", url)));
    // Its card is that of a program that counts.
    run(load, bench.stdout(Stdio::null()))
}

/// What belongs to rustc's LLVM, by its major version: the format of what is counted changes with it.
struct Tools {
    profdata: PathBuf,
    clang: String,
    host: String,
}

impl Tools {
    fn find() -> anyhow::Result<Self> {
        let rustc = output(Command::new("rustc").arg("-vV"))?;
        let word = |name: &str| rustc.lines().find_map(|line| line.strip_prefix(name));
        let host = word("host: ").context("rustc names no host")?.to_owned();
        let major =
            word("LLVM version: ").and_then(|version| version.split('.').next()).context("rustc names no LLVM")?;
        let clang = format!("clang-{major}");
        let system = format!("llvm-profdata-{major}");
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let component = Path::new(sysroot.trim()).join("lib/rustlib").join(&host).join("bin/llvm-profdata");
        let profdata = if component.is_file() { component } else { PathBuf::from(&system) };
        if !is_installed(&clang) || !(profdata.is_absolute() || is_installed(&system)) {
            bail!(
                "training needs {clang} and {system}, of the LLVM of this rustc: packages clang-{major} and llvm-{major}"
            );
        }
        Ok(Tools { profdata, clang, host })
    }

    /// Compiles Rust and C with `-fprofile-HOW` into a folder of its own.
    fn build(
        &self,
        name: &str,
        build: &[&str],
        environment: &[(&str, &str)],
        folder: &str,
        how: &str,
    ) -> anyhow::Result<PathBuf> {
        let folder = Path::new(FOLDER).join(folder);
        let target = self.host.replace('-', "_");
        // Threads count at once, and what a program does not use was not counted.
        let c = format!("-fprofile-{how} -fprofile-update=atomic -Wno-profile-instr-unprofiled -Wno-backend-plugin");
        let compiler = format!("CC_{target}");
        let (c_flags, flags) =
            (format!("CFLAGS_{target}"), format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_ascii_uppercase()));
        let rust = format!("-Cprofile-{how}");
        let folder_name = folder.to_str().context("the folder's name is no text")?;
        let mut variables = environment.to_vec();
        variables.extend([
            ("CARGO_TARGET_DIR", folder_name),
            (&compiler, &self.clang),
            (&c_flags, &c),
            (&flags, &rust),
        ]);
        // With the target named, what runs while compiling is compiled as ever.
        let arguments = [build, &["--target", &self.host]].concat();
        cargo_with(name, &arguments, &variables)?;
        let program = folder.join(&self.host).join("dist/dukou");
        ensure!(program.is_file(), "{} was not built", program.display());
        Ok(program)
    }
}

/// A Redis for as long as it is needed.
struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]).current_dir(folder);
        let process = server.stdout(Stdio::null()).spawn().context("redis-server cannot be started")?;
        Ok(Redis { process, port })
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
