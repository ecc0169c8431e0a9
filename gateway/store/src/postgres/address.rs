//! `postgres://…`: where the database is and how its server is known.

use std::net::IpAddr;
use std::str::FromStr as _;

use dukou_domain::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// What an address may say after the question mark.
const PARAMETERS: &[&str] = &["host", "sslmode", "sslrootcert", "sslcert", "sslkey", "application_name"];

/// Why an address of a database cannot be used. Never holds the address, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    #[error("not an address of a database: expected postgres://user:password@host:port/database")]
    Malformed,
    #[error(
        "has an @ behind the host: expected %2F %3F %23 %40 %25 in place of / ? # @ % in a password, or letters and digits only"
    )]
    AtBehindHost,
    #[error("names a host that is none: expected a name or an address, postgres://user:password@host:port/database")]
    Host,
    #[error("names no database: expected postgres://user:password@host:port/database")]
    NoDatabase,
    #[error(
        "asks for sslmode={0}, with which nobody knows who the server is: expected sslmode=verify-full, or sslmode=disable on a network of one's own"
    )]
    Mode(String),
    #[error("has the parameter {0:?}: expected one of host, sslmode, sslrootcert, sslcert, sslkey, application_name")]
    Parameter(String),
}

/// Reads an address; it does not connect. Without `sslmode` the server's certificate is checked,
/// but for a server on this machine.
///
/// # Errors
/// [`InvalidAddress`].
pub(super) fn parse(address: &Secret) -> Result<PgConnectOptions, InvalidAddress> {
    let text = address.expose();
    let (scheme, rest) = text.split_once("://").ok_or(InvalidAddress::Malformed)?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err(InvalidAddress::Malformed);
    }
    // A password that ends the host's part early makes what is left of it another host, port, database or parameter.
    if rest.split_once(['/', '?', '#']).is_some_and(|(_, behind)| behind.contains('@')) {
        return Err(InvalidAddress::AtBehindHost);
    }
    let mut mode = None;
    for pair in text.split_once('?').map_or("", |(_, query)| query).split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(InvalidAddress::Malformed)?;
        match (name, value) {
            ("sslmode", "disable" | "verify-full") => mode = Some(value),
            ("sslmode", other) => return Err(InvalidAddress::Mode(other.to_owned())),
            (known, _) if PARAMETERS.contains(&known) => {}
            (other, _) => return Err(InvalidAddress::Parameter(other.to_owned())),
        }
    }
    let options = PgConnectOptions::from_str(text).map_err(|_| InvalidAddress::Malformed)?;
    if options.get_socket().is_none() && !is_host(options.get_host()) {
        return Err(InvalidAddress::Host);
    }
    if options.get_database().is_none_or(str::is_empty) {
        return Err(InvalidAddress::NoDatabase);
    }
    let here = options.get_socket().is_some() || matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1");
    let checked = match mode {
        Some(mode) => mode == "verify-full",
        None => !here,
    };
    Ok(options.ssl_mode(if checked { PgSslMode::VerifyFull } else { PgSslMode::Disable }))
}

/// A name, an address, or the folder of a socket that is taken where none is named.
fn is_host(text: &str) -> bool {
    let within = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    text.starts_with('/') || within.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.bytes().all(named))
}

/// Where a database is, without what proves a right to it.
pub(super) fn in_words(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or_default();
    let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    format!("the PostgreSQL database {name} on {host}:{}", options.get_port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let full = || Ok("VerifyFull".to_owned());
        let disabled = || Ok("Disable".to_owned());
        for (text, expected) in [
            ("postgres://dukou:hush@db.example.com:5432/dukou", full()),
            ("postgresql://dukou@db.example.com/dukou?sslmode=disable", disabled()),
            ("postgres://dukou@127.0.0.1/dukou", disabled()),
            ("postgres://dukou@localhost/dukou?sslmode=verify-full", full()),
            ("postgres:///dukou?host=/run/postgresql", disabled()),
            ("postgres://dukou@db.example.com/dukou?sslmode=require", Err(InvalidAddress::Mode("require".into()))),
            ("postgres://dukou@db.example.com/dukou?optoins=x", Err(InvalidAddress::Parameter("optoins".into()))),
            ("postgres://dukou@db.example.com/dukou?sslmode", Err(InvalidAddress::Malformed)),
            ("postgres://dukou@db.example.com", Err(InvalidAddress::NoDatabase)),
            ("postgres://dukou@db.example.com:port/dukou", Err(InvalidAddress::Malformed)),
            ("postgres://dukou@[2001:db8::1]:5432/dukou", full()),
            ("postgres://dukou:hu%40sh%2F@db.example.com/dukou?application_name=a%40b", full()),
            ("postgres://dukou@db,example/dukou", Err(InvalidAddress::Host)),
            ("postgres:///dukou?host=db.example.com!", Err(InvalidAddress::Host)),
            // Passwords as they came.
            ("postgres://dukou:hush/hush@db.example.com/dukou", Err(InvalidAddress::AtBehindHost)),
            ("postgres://dukou:hu@sh/hush@db.example.com/dukou", Err(InvalidAddress::AtBehindHost)),
            ("postgres://dukou:12/hush@db.example.com/dukou", Err(InvalidAddress::AtBehindHost)),
            ("postgres://dukou:hu?hush@db.example.com/dukou?sslmode=disable", Err(InvalidAddress::AtBehindHost)),
            ("postgres://dukou:12#hush@db.example.com/dukou", Err(InvalidAddress::AtBehindHost)),
            ("mysql://dukou@db.example.com/dukou", Err(InvalidAddress::Malformed)),
        ] {
            let read = parse(&Secret::new(text)).map(|options| format!("{:?}", options.get_ssl_mode()));
            assert_eq!(read, expected, "{text}");
            if let Err(error) = read {
                assert!(!error.to_string().contains("hush"));
            }
        }
    }
}
