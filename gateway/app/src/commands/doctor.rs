//! `dukou doctor`: what is wrong with one tenant's set-up, in plain words, and what to do about it.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use dukou_domain::ProviderName;
use dukou_engine::tenant::Tenant;
use dukou_spi::settings::{Problem, Severity};
use dukou_spi::{Checkup, Finding, Grade, NotifyKind, Presented};
use dukou_transport::Skew;

use crate::config::{self, Loaded, TENANTS_PREFIX, TenantSettings, variable_word};
use crate::outside::Outside;

/// Stands for a `server.public_url` that was refused, which is told already: what is found about it is left out.
const NO_PUBLIC_URL: &str = "https://example.com";

/// What somebody wants to know.
pub struct Question<'a> {
    pub directory: &'a Path,
    pub tenant: &'a str,
    /// Whether the platforms may be called.
    pub live: bool,
    /// A user of the tenant's app.
    pub openid: Option<String>,
}

/// One line of the answer.
struct Line {
    grade: Grade,
    /// The file, or whatever else the key stands in.
    place: String,
    key: String,
    message: String,
    fix: String,
}

pub fn run(question: &Question<'_>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let lines = runtime.block_on(look(question));
    let written = write(&lines, &mut std::io::stdout().lock());
    let is_well = lines.iter().all(|line| line.grade < Grade::Error);
    if is_well && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn look(question: &Question<'_>) -> Vec<Line> {
    let outside = Outside::new();
    let variables = config::process_variables();
    let loaded =
        config::load(question.directory, variables, config::Factories::builtin(), |insecure| outside.context(insecure));
    let mut lines: Vec<Line> =
        loaded.problems.iter().filter(|problem| is_about(problem, question.tenant)).map(of_problem).collect();
    let Some(settings) = find(&loaded, question.tenant) else {
        if lines.iter().all(|line| line.grade < Grade::Error) {
            lines.push(missing(&loaded, question));
        }
        return lines;
    };
    let public_url = loaded.gateway.as_ref().map(|gateway| gateway.public_url.as_str());
    let mut found = diagnose(&settings.tenant, &settings.file, public_url.unwrap_or(NO_PUBLIC_URL), question).await;
    if public_url.is_none() {
        found.retain(|line| line.key != "server.public_url");
    }
    // What `check` and a provider both see is told once, with the provider's fix.
    lines.retain(|line| !found.iter().any(|other| (&other.key, &other.message) == (&line.key, &line.message)));
    lines.extend(found);
    if question.live {
        let clock = clock(&outside);
        if clock.iter().any(|line| line.grade == Grade::Error) {
            // A provider's own word about it says the same.
            lines.retain(|line| !line.key.ends_with(".clock"));
        }
        lines.extend(clock);
    }
    lines
}

fn find<'a>(loaded: &'a Loaded, tenant: &str) -> Option<&'a TenantSettings> {
    loaded.tenants.served().find(|settings| settings.tenant.id.as_str() == tenant).map(AsRef::as_ref)
}

/// Whether a problem is the gateway's own or this tenant's.
fn is_about(problem: &Problem, tenant: &str) -> bool {
    let file = Path::new(&problem.file);
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let own = format!("{TENANTS_PREFIX}{}__", variable_word(tenant));
    let is_other_tenants = problem.file.contains(TENANTS_PREFIX) && !problem.file.contains(&own);
    // Of a folder that cannot be read nobody knows whose files are in it.
    let is_folder = file.file_name().is_some_and(|name| name == "tenants");
    is_folder || stem == tenant || stem == "gateway" || (problem.file.starts_with("environment") && !is_other_tenants)
}

fn of_problem(problem: &Problem) -> Line {
    Line {
        grade: match problem.severity {
            Severity::Error => Grade::Error,
            // Nearly always it is why messages cannot be read, which somebody who asks must not overlook.
            Severity::Warning if problem.message.starts_with(config::SAME_SECRET) => Grade::Error,
            Severity::Warning => Grade::Warning,
        },
        place: problem.file.clone(),
        key: problem.key.clone(),
        message: problem.message.clone(),
        fix: format!("expected {}", problem.expected),
    }
}

fn missing(loaded: &Loaded, question: &Question<'_>) -> Line {
    let known: Vec<&str> = loaded.tenants.served().map(|settings| settings.tenant.id.as_str()).collect();
    let folder = question.directory.join("tenants");
    let file = folder.join(format!("{}.toml", question.tenant));
    Line {
        grade: Grade::Error,
        place: folder.display().to_string(),
        key: "id".to_owned(),
        message: format!("there is no tenant {}", question.tenant),
        fix: match known[..] {
            [] => format!("write {}", file.display()),
            _ => format!("name one of {}", known.join(", ")),
        },
    }
}

async fn diagnose(tenant: &Tenant, file: &str, public_url: &str, question: &Question<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (name, provider) in &tenant.providers {
        let checkup = Checkup {
            notify_url: dukou_engine::notify_url(public_url, &tenant.id, name, NotifyKind::Payment),
            live: question.live,
            openid: question.openid.clone(),
            certificates: others(tenant, name),
        };
        let findings = provider.diagnose(&checkup).await;
        let section = format!("providers.{name}");
        lines.extend(findings.into_iter().map(|finding| of_finding(file, &section, finding)));
    }
    for (name, plugin) in &tenant.plugins {
        let section = format!("plugins.{name}");
        let findings = plugin.diagnose(question.live).await;
        lines.extend(findings.into_iter().map(|finding| of_finding(file, &section, finding)));
    }
    lines
}

/// What the tenant's other providers present.
fn others(tenant: &Tenant, name: &ProviderName) -> Vec<Presented> {
    let others = tenant.providers.iter().filter(|(other, _)| *other != name);
    let presented = others.filter_map(|(other, provider)| {
        Some(Presented { section: format!("providers.{other}"), der: provider.certificate()?.to_vec() })
    });
    presented.collect()
}

fn of_finding(file: &str, section: &str, finding: Finding) -> Line {
    // Most are about its own section; what is not has its whole path.
    let (place, key) = if finding.key.contains('.') {
        ("gateway.toml".to_owned(), finding.key.to_owned())
    } else {
        (file.to_owned(), format!("{section}.{}", finding.key))
    };
    Line { grade: finding.grade, place, key, message: finding.message, fix: finding.fix }
}

/// The platforms' answers named their time.
fn clock(outside: &Outside) -> Vec<Line> {
    let line = |skew: Skew| {
        let (seconds, host) = (skew.millis.unsigned_abs() / 1000, &skew.host);
        let (grade, message, fix) = if skew.wrong {
            let side = if skew.millis > 0 { "ahead of" } else { "behind" };
            (Grade::Error, format!("is {seconds} s {side} that of {host}"), "set it by NTP (timedatectl set-ntp true)")
        } else {
            (Grade::Good, format!("agrees with that of {host} to {seconds} s"), "")
        };
        Line { grade, place: "this machine".to_owned(), key: "clock".to_owned(), message, fix: fix.to_owned() }
    };
    outside.clocks.skews().into_iter().map(line).collect()
}

/// The worst last, so that it stands above the prompt.
fn write(lines: &[Line], output: &mut impl Write) -> std::io::Result<()> {
    for grade in [Grade::Good, Grade::Warning, Grade::Error] {
        for line in lines.iter().filter(|line| line.grade == grade) {
            let word = match grade {
                Grade::Good => "ok",
                Grade::Warning => "warning",
                Grade::Error => "error",
            };
            writeln!(output, "{word}: {}: {}: {}", line.place, line.key, line.message)?;
            if !line.fix.is_empty() {
                writeln!(output, "    fix: {}", line.fix)?;
            }
        }
    }
    let count = |grade| lines.iter().filter(|line| line.grade == grade).count();
    match (count(Grade::Error), count(Grade::Warning)) {
        (0, 0) => writeln!(output, "nothing is wrong")?,
        (errors, warnings) => writeln!(output, "{errors} wrong, {warnings} to look at")?,
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_check_tells_is_not_told_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        std::fs::create_dir(folder.path().join("tenants")).expect("a folder");
        write("tenants/key", "0123456789abcdef0123456789abcdef");
        write("tenants/backend", "sk-0123456789abcdef0123456789abcdef");
        let tenant = "id = \"bookshop\"\napi_keys = [{ id = \"backend\", secret = \"file:backend\" }]\n\
                      [providers.wechat]\nkind = \"wechat-v2\"\napp_id = \"wx8888888888888888\"\n\
                      mch_id = \"1900000109\"\napi_key = \"file:key\"\n";
        write("tenants/bookshop.toml", tenant);
        let question = Question { directory: folder.path(), tenant: "bookshop", live: false, openid: None };
        for (public_url, grade) in
            [("https://pay.bookshop.cn:8443", Grade::Error), ("https://pay.bookshop.cn", Grade::Good)]
        {
            write("gateway.toml", &format!("[server]\npublic_url = \"{public_url}\"\n"));
            let lines = look(&question).await;
            let told: Vec<_> = lines.iter().filter(|line| line.key == "server.public_url").collect();
            assert!(
                matches!(told[..], [one] if one.grade == grade),
                "{:?}",
                lines.iter().map(|line| &line.message).collect::<Vec<_>>()
            );
            // The tenant itself is looked at, and what its file shows already is told once.
            let certificate: Vec<_> = lines.iter().filter(|line| line.key == "providers.wechat.client_cert").collect();
            assert!(matches!(certificate[..], [line] if line.fix.starts_with("download")), "{}", certificate.len());
        }
    }
}
