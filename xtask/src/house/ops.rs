//! What operators are given names what exists: metrics in rules and panels, runbooks of alerts, tests
//! of alerts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{read, root, sources};

/// What a runbook answers, in this order.
const SECTIONS: [&str; 3] = ["## What it means", "## How to look", "## What to do"];

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let found: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    assert!(!found.is_empty(), "{} holds no .{extension} file", folder.display());
    found
}

fn rules() -> String {
    let all: Vec<String> = files("ops/prometheus/rules", "yml").iter().map(|path| read(path)).collect();
    let lines = all.iter().flat_map(|text| text.lines()).filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// The values of a key that stands at the beginning of its line or list entry.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).collect()
}

/// The names of metrics in a text, without what a histogram adds to them.
fn metrics(text: &str) -> BTreeSet<&str> {
    let word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | ':');
    let words = text.split(|character: char| !word(character));
    words.filter(|word| ["dukou_", "dukou:", "process_"].iter().any(|start| word.starts_with(start))).collect()
}

fn base(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// The names that the gateway registers, out of its string literals.
fn registered() -> BTreeSet<String> {
    let mut code = Vec::new();
    sources(&root().join("gateway/app/src/metrics"), &mut code);
    let text: String = code.iter().map(|path| read(path)).collect();
    let literals = text.split('"').skip(1).step_by(2);
    let names = literals.filter(|word| word.starts_with("dukou_") || word.starts_with("process_"));
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(names.contains("dukou_build_info") && names.len() > 15, "{names:?}");
    names
}

fn must_exist(place: &Path, text: &str, registered: &BTreeSet<String>, recorded: &[&str]) {
    for name in metrics(text) {
        let exists = if name.contains(':') {
            recorded.contains(&name)
        } else {
            [name, base(name)].iter().any(|name| registered.contains(*name))
        };
        assert!(exists, "{} names {name}, which neither the gateway nor a rule has", place.display());
    }
}

#[test]
fn every_metric_in_a_rule_or_panel_exists() {
    let (registered, rules) = (registered(), rules());
    let recorded = values(&rules, "record");
    must_exist(Path::new("ops/prometheus/rules"), &rules, &registered, &recorded);
    for path in files("ops/prometheus/tests", "yml") {
        must_exist(&path, &read(&path), &registered, &recorded);
    }
    for path in files("ops/grafana/dashboards", "json") {
        must_exist(&path, &read(&path), &registered, &recorded);
    }
    for path in files("ops/runbooks", "md") {
        must_exist(&path, &read(&path), &registered, &recorded);
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let rules = rules();
    let alerts: BTreeSet<String> = values(&rules, "alert").into_iter().map(str::to_owned).collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    let runbooks = files("ops/runbooks", "md");
    let named: BTreeSet<String> =
        runbooks.iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(alerts, named, "ops/runbooks holds a file for each alert, and no other");
    for path in runbooks {
        let text = read(&path);
        let places: Vec<usize> = SECTIONS.iter().filter_map(|section| text.find(&format!("\n{section}\n"))).collect();
        assert!(places.len() == 3 && places.is_sorted(), "{} has not the sections {SECTIONS:?}", path.display());
    }
}

#[test]
fn every_alert_is_seen_to_fire_and_to_stay_silent() {
    let tests: String = files("ops/prometheus/tests", "yml").iter().map(|path| read(path)).collect();
    for alert in values(&rules(), "alert") {
        let expected: Vec<&str> = tests
            .split(&format!("alertname: {alert}\n"))
            .skip(1)
            .map(|after| after.trim_start().lines().next().unwrap_or_default())
            .collect();
        assert!(expected.contains(&"exp_alerts:"), "no test in ops/prometheus/tests makes {alert} fire");
        assert!(expected.contains(&"exp_alerts: []"), "no test in ops/prometheus/tests keeps {alert} silent");
    }
}

/// A command that searches a list, `data[]`, searches all of it: what an alert is about may stand behind
/// thousands. One that wants a few for a sample says so with `&limit=`.
#[test]
fn a_runbook_looks_through_all_pages_of_a_list() {
    let mut loops = 0;
    for path in files("ops/runbooks", "md") {
        let text = read(&path);
        let searches = text.lines().filter(|line| line.contains("'.data[]") && !line.contains("&limit="));
        for line in searches {
            assert!(line.ends_with(" <<< \"$page\""), "{} looks at one page alone: {line}", path.display());
            loops += 1;
        }
    }
    assert!(loops > 5, "{loops}");
}

/// On a machine with the service, secrets stand in a file that systemd reads and a shell does not: a command
/// that reads the configuration there has to be given it.
#[test]
fn a_command_on_an_installed_machine_is_given_the_environment_of_the_service() {
    let mut commands = 0;
    let mut texts = files("ops/runbooks", "md");
    texts.extend(["README.md", "README.zh-CN.md"].map(|name| root().join(name)));
    for path in texts {
        let text = read(&path);
        let needs = |line: &&str| {
            line.contains("/etc/dukou")
                && ["check", "doctor", "migrate", "trace"].iter().any(|name| line.contains(&format!("dukou {name} ")))
        };
        for line in text.lines().filter(needs) {
            assert!(line.contains(". /etc/dukou/dukou.env; exec "), "{}: {line}", path.display());
            commands += 1;
        }
    }
    assert!(commands > 8, "{commands}");
}

/// systemd writes into the unit's journal too, and not JSON: `jq` ends at the first such line unless it is told to pass over.
#[test]
fn a_command_that_searches_the_log_passes_over_what_is_not_the_gateways() {
    let mut commands = 0;
    for path in files("ops/runbooks", "md") {
        let text = read(&path);
        for line in text.lines().filter(|line| line.contains("journalctl") && line.contains("jq ")) {
            assert!(line.contains("R 'fromjson? | "), "{}: {line}", path.display());
            commands += 1;
        }
    }
    assert!(commands > 8, "{commands}");
}
