//! A gateway whose time of day the test sets.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use dukou_e2e::{Gateway, World};

/// The library that is preloaded, and the hand of the clock that it shows.
pub struct MovedClock {
    library: String,
    path: String,
    hand: File,
}

impl MovedClock {
    /// # Panics
    /// Where there is no C compiler, which building the gateway needs too.
    pub fn new(world: &World) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("preload/clock.c");
        let library = world.directory().join("clock.so");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        assert!(built.expect("a C compiler: install gcc").success(), "clock.c does not compile");
        let path = world.directory().join("clock-offset");
        std::fs::write(&path, 0_i64.to_ne_bytes()).unwrap();
        let hand = File::options().write(true).open(&path).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        Self { library: text(&library), path: text(&path), hand }
    }

    /// From now on the gateway's clock shows so many seconds more than the machine's. One that runs sees a jump.
    pub fn set(&self, seconds: i64) {
        self.hand.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Restarts the gateway with this clock and these fail points.
    pub async fn restart(&self, gateway: &Gateway) {
        gateway.restart_with(&self.environment()).await;
    }

    /// [`MovedClock::restart`] with fail points, and without waiting until it is ready.
    pub fn relaunch_at(&self, gateway: &Gateway, fail_points: &str) {
        let mut environment = self.environment().to_vec();
        environment.push(("FAILPOINTS", fail_points));
        gateway.relaunch(&environment);
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", &self.library), ("CLOCK_OFFSET_FILE", &self.path)]
    }
}
