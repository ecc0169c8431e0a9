//! The dashboards' files.

use std::path::Path;

use dukou_e2e::ops;
use serde_json::Value;

/// A query of a panel.
pub struct Query {
    /// Dashboard and panel.
    pub place: String,
    pub expression: String,
}

/// Every dashboard, by the name of its file.
pub fn all() -> Vec<(String, Value)> {
    let folder = ops().join("grafana/dashboards");
    let mut found: Vec<(String, Value)> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(&path)))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty(), "{} holds no dashboard", folder.display());
    found
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

pub fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().map_or(&[], Vec::as_slice)
}

/// All queries, with their variables filled in as Grafana does for "All" and a span of minutes.
pub fn queries() -> Vec<Query> {
    let mut found = Vec::new();
    for (file, dashboard) in all() {
        let values = |name: &str| match name {
            "__rate_interval" => "30s".to_owned(),
            "__range" => "5m".to_owned(),
            name => all_value(&dashboard, name).unwrap_or_else(|| panic!("{file}: no variable ${name}")),
        };
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let place = format!("{file}: {}", panel["title"].as_str().unwrap());
                found.push(Query { place, expression: fill(target["expr"].as_str().unwrap(), values) });
            }
        }
    }
    found
}

fn all_value(dashboard: &Value, name: &str) -> Option<String> {
    let variables = dashboard["templating"]["list"].as_array()?;
    let variable = variables.iter().find(|variable| variable["name"] == name)?;
    Some(variable["allValue"].as_str()?.to_owned())
}

fn fill(expression: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = expression.split('$');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let (name, rest) = part.split_at(end.unwrap_or(part.len()));
        filled.push_str(&value(name));
        filled.push_str(rest);
    }
    filled
}

/// What Grafana would refuse or show badly.
pub fn faults(file: &str, dashboard: &Value, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = Vec::new();
    let mut taken: Vec<[u64; 4]> = Vec::new();
    for panel in panels(dashboard) {
        let title = panel["title"].as_str().unwrap_or_default();
        let mut fault = |what: &str| faults.push(format!("{file}: {title:?} {what}"));
        let place = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap_or(u64::MAX / 4));
        let [x, y, w, h] = place;
        if title.is_empty() || ids.contains(&panel["id"]) {
            fault("has no title, or the id of another");
        }
        if x + w > 24 || w == 0 || h == 0 {
            fault("is wider than the page");
        }
        if taken.iter().any(|[a, b, c, d]| x < a + c && *a < x + w && y < b + d && *b < y + h) {
            fault("lies on another");
        }
        let queries = panel["targets"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        if panel["type"] != "row" && queries.is_empty() {
            fault("asks nothing");
        }
        if queries.iter().any(|query| query["datasource"]["uid"] != source) {
            fault("asks another source than the provisioned one");
        }
        ids.push(panel["id"].clone());
        taken.push(place);
    }
    faults
}
