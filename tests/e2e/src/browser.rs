//! A real Chromium, driven by chromedriver over plain WebDriver calls (W3C WebDriver).

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually::settled;

/// How long something on a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// The name of an element's id in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// It asks nobody outside for anything, and keeps nothing.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// One window of a browser of its own. Everything ends when it is dropped.
pub struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Browser {
    /// # Panics
    /// When chromedriver or Chromium is not installed or does not start.
    pub async fn start(width: u32, height: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        // Being killed, it leaves what it has there.
        command.env("TMPDIR", folder.path());
        // A group of its own, so that the browser's many processes end with it.
        command.arg("--port=0").process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver does not start ({error}): install it by `cargo xtask setup`"));
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE * 2).build().unwrap();
        let url = format!("http://127.0.0.1:{}", port.expect("chromedriver names its port"));
        let mut browser = Self { driver, session: url, client, _folder: folder };
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|argument| (*argument).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", browser._folder.path().join("profile").display()));
        arguments.push(format!("--window-size={width},{height}"));
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments, "perfLoggingPrefs": { "enableNetwork": true } },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let started =
            browser.call(Method::POST, "/session", Some(json!({ "capabilities": { "alwaysMatch": wanted } }))).await;
        browser.session = format!("{}/session/{}", browser.session, started["sessionId"].as_str().unwrap());
        let still = json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] });
        browser.post("/goog/cdp/execute", json!({ "cmd": "Emulation.setEmulatedMedia", "params": still })).await;
        // What the browser shows at its start is its own affair.
        browser.open("about:blank").await;
        browser.requests().await;
        browser
    }

    /// Opens an address and waits until the page has loaded.
    pub async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// Runs a script's body in the page and gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// The text of the first element that the selector finds and that can be seen, once there is one.
    ///
    /// # Panics
    /// When none comes.
    pub async fn text(&self, selector: &str) -> String {
        let found = settled(PATIENCE, async || self.visible(selector).await).await;
        found.unwrap_or_else(|| panic!("nothing that can be seen is {selector}"))
    }

    /// Waits until the text of the first such element holds these words.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn shows(&self, selector: &str, words: &str) {
        let mut last = None;
        let found = settled(PATIENCE, async || {
            last = self.visible(selector).await;
            last.as_ref().is_some_and(|text| text.contains(words)).then_some(())
        });
        if found.await.is_none() {
            panic!("{selector} does not show {words:?} but {last:?}");
        }
    }

    async fn visible(&self, selector: &str) -> Option<String> {
        let selector = Value::from(selector);
        let script = format!(
            "const found = [...document.querySelectorAll({selector})].find((e) => e.checkVisibility()); \
             return found ? found.textContent : null;"
        );
        self.run(&script).await.as_str().map(str::to_owned)
    }

    /// Presses what the selector finds, as a person would: it must be there, seen and not covered.
    ///
    /// # Panics
    /// When it cannot be pressed.
    pub async fn press(&self, selector: &str) {
        let mut last = Value::Null;
        let pressed = settled(PATIENCE, async || {
            let how = json!({ "using": "css selector", "value": selector });
            let (status, found) = self.raw(Method::POST, "/element", Some(how)).await;
            last = found;
            let id = (status == 200).then(|| last[ELEMENT].as_str().map(str::to_owned)).flatten()?;
            let (status, answer) = self.raw(Method::POST, &format!("/element/{id}/click"), Some(json!({}))).await;
            last = answer;
            (status == 200).then_some(())
        });
        if pressed.await.is_none() {
            panic!("{selector} cannot be pressed: {last}");
        }
    }

    /// Shows the page as a device of that size does.
    pub async fn resize(&self, width: u32, height: u32, scale: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600 });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        self.post("/goog/cdp/execute", command).await;
    }

    /// Presses keys, one after another, where the focus is.
    pub async fn keys(&self, keys: &str) {
        let presses: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        self.post("/actions", json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": presses }] })).await;
    }

    /// Shows pages as a device does that is set to dark.
    pub async fn dark(&self) {
        let features = json!({ "features": [
            { "name": "prefers-reduced-motion", "value": "reduce" }, { "name": "prefers-color-scheme", "value": "dark" },
        ] });
        self.post("/goog/cdp/execute", json!({ "cmd": "Emulation.setEmulatedMedia", "params": features })).await;
    }

    /// Says to be another browser from now on.
    pub async fn user_agent(&self, agent: &str) {
        let command = json!({ "cmd": "Emulation.setUserAgentOverride", "params": { "userAgent": agent } });
        self.post("/goog/cdp/execute", command).await;
    }

    /// Writes what is seen as PNG.
    pub async fn screenshot(&self, file: &Path) {
        let image = self.call(Method::GET, "/screenshot", None).await;
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, STANDARD.decode(image.as_str().unwrap()).unwrap()).unwrap();
    }

    /// What the page's console said since this was last asked.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    /// The addresses that the page asked for since this was last asked.
    pub async fn requests(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "performance" })).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let address = |entry: &Value| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &event["message"];
            let sent = message["method"] == "Network.requestWillBeSent";
            sent.then(|| message["params"]["request"]["url"].as_str().map(str::to_owned)).flatten()
        };
        entries.iter().filter_map(address).collect()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, value) = self.raw(method, path, body).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    async fn raw(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.session));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: chromedriver: {error}"));
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap_or_default();
        (status, body["value"].clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.driver.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.driver.wait();
    }
}
