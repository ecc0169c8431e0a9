//! Where Redis is: one server, a cluster, or the primary that sentinels name.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dukou_domain::Secret;
use percent_encoding::percent_decode_str;
use redis::aio::ConnectionLike;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisFuture,
    RedisResult, TlsMode, Value,
};

/// How long making one connection of several may take.
const NODE_PATIENCE: Duration = Duration::from_millis(400);
/// Where sentinels listen when the address does not say.
const SENTINEL_PORT: u16 = 26_379;
const REDIS_PORT: u16 = 6_379;
/// Keys that are looked for in a cluster to see whether it answers: so many that every primary has some.
const PROBES: usize = 64;

/// Why a Redis address cannot be used. Never holds the address, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    #[error(
        "not a redis address: expected redis://host:port/database, redis+cluster://host:port,host:port or \
         redis+sentinel://host:port,host:port/primary/database, each with rediss for TLS"
    )]
    Malformed,
    #[error("a fragment is not allowed in a redis address: the server's certificate is always checked")]
    Fragment,
    #[error("a cluster has no databases: expected redis+cluster://host:port,host:port without a path")]
    ClusterDatabase,
    #[error("the primary's name is missing: expected redis+sentinel://host:port,host:port/primary/database")]
    NoPrimary,
}

/// A Redis address that can be used.
pub(super) struct Address {
    place: Place,
    /// Counts connections made, so that a server that hangs is not always the first one asked.
    turn: AtomicUsize,
}

enum Place {
    Server(Box<Client>),
    Cluster { nodes: Vec<ConnectionInfo>, client: Box<ClusterClient> },
    Sentinels(Sentinels),
}

struct Sentinels {
    sentinels: Vec<ConnectionAddr>,
    primary: String,
    database: i64,
    tls: bool,
    /// Of the servers, and of the sentinels.
    server: Login,
    sentinel: Login,
}

#[derive(Default)]
struct Login {
    user: Option<String>,
    password: Option<Secret>,
}

/// The parts of an address of several servers.
struct Parts<'a> {
    login: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl Address {
    pub fn parse(url: &str) -> Result<Address, InvalidUrl> {
        if url.contains('#') {
            return Err(InvalidUrl::Fragment);
        }
        let (scheme, rest) = url.split_once("://").ok_or(InvalidUrl::Malformed)?;
        let place = match scheme {
            "redis" | "rediss" => Place::Server(Box::new(
                url.into_connection_info().and_then(Client::open).map_err(|_| InvalidUrl::Malformed)?,
            )),
            "redis+cluster" => cluster("redis", &Parts::of(rest)?)?,
            "rediss+cluster" => cluster("rediss", &Parts::of(rest)?)?,
            "redis+sentinel" => Place::Sentinels(sentinels(false, &Parts::of(rest)?)?),
            "rediss+sentinel" => Place::Sentinels(sentinels(true, &Parts::of(rest)?)?),
            _ => return Err(InvalidUrl::Malformed),
        };
        Ok(Address { place, turn: AtomicUsize::new(0) })
    }

    /// Connects for commands.
    pub async fn connect(&self) -> RedisResult<Connection> {
        // Every wait has a limit of its own with the caller; those of the client would only blur it.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        Ok(match &self.place {
            Place::Server(client) => {
                Connection::Server(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Place::Cluster { client, .. } => Connection::Cluster(client.get_async_connection().await?),
            Place::Sentinels(sentinels) => {
                let client = sentinels.primary(self.turn()).await?;
                Connection::Server(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
        })
    }

    /// A server that messages to all are heard from.
    pub async fn subscriber(&self) -> RedisResult<Client> {
        match &self.place {
            Place::Server(client) => Ok(Client::clone(client)),
            // A message reaches every node of a cluster.
            Place::Cluster { nodes, .. } => Client::open(nodes[self.turn() % nodes.len()].clone()),
            Place::Sentinels(sentinels) => sentinels.primary(self.turn()).await,
        }
    }

    fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> Result<Self, InvalidUrl> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let hosts: Vec<&str> = hosts.split(',').collect();
        let plain = |host: &&str| !host.is_empty() && !host.contains(char::is_whitespace);
        if hosts.iter().all(plain) { Ok(Parts { login, hosts, path, query }) } else { Err(InvalidUrl::Malformed) }
    }

    /// The servers, each by an address of its own.
    fn servers(&self, scheme: &str, port: u16) -> Result<Vec<ConnectionInfo>, InvalidUrl> {
        let at = if self.login.is_empty() { "" } else { "@" };
        let server = |host: &&str| {
            let bare = host.rsplit_once(']').map_or(*host, |(_, after)| after);
            let port = if bare.contains(':') { String::new() } else { format!(":{port}") };
            let url = format!("{scheme}://{}{at}{host}{port}/0", self.login);
            url.into_connection_info().map_err(|_| InvalidUrl::Malformed)
        };
        self.hosts.iter().map(server).collect()
    }
}

fn cluster(scheme: &str, parts: &Parts<'_>) -> Result<Place, InvalidUrl> {
    if !matches!(parts.path, "" | "0") {
        return Err(InvalidUrl::ClusterDatabase);
    }
    if !parts.query.is_empty() {
        return Err(InvalidUrl::Malformed);
    }
    let nodes = parts.servers(scheme, REDIS_PORT)?;
    let client = ClusterClient::builder(nodes.clone()).connection_timeout(NODE_PATIENCE);
    let client = client.build().map_err(|_| InvalidUrl::Malformed)?;
    Ok(Place::Cluster { nodes, client: Box::new(client) })
}

fn sentinels(tls: bool, parts: &Parts<'_>) -> Result<Sentinels, InvalidUrl> {
    let (primary, database) = parts.path.split_once('/').unwrap_or((parts.path, "0"));
    if primary.is_empty() {
        return Err(InvalidUrl::NoPrimary);
    }
    let mut sentinel = Login::default();
    for pair in parts.query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').ok_or(InvalidUrl::Malformed)? {
            ("sentinel_username", user) => sentinel.user = Some(decoded(user)?),
            ("sentinel_password", password) => sentinel.password = Some(Secret::new(decoded(password)?)),
            _ => return Err(InvalidUrl::Malformed),
        }
    }
    let (user, password) = parts.login.split_once(':').unwrap_or((parts.login, ""));
    let some = |text: &str| (!text.is_empty()).then(|| decoded(text)).transpose();
    let scheme = if tls { "rediss" } else { "redis" };
    let servers = parts.servers(scheme, SENTINEL_PORT)?;
    Ok(Sentinels {
        sentinels: servers.iter().map(|server| server.addr().clone()).collect(),
        primary: decoded(primary)?,
        database: database.parse().ok().filter(|database| *database >= 0).ok_or(InvalidUrl::Malformed)?,
        tls,
        server: Login { user: some(user)?, password: some(password)?.map(Secret::new) },
        sentinel,
    })
}

fn decoded(text: &str) -> Result<String, InvalidUrl> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| InvalidUrl::Malformed)
}

impl Sentinels {
    /// Asks the sentinels, one of them first by turns, for the server that is the primary now.
    async fn primary(&self, turn: usize) -> RedisResult<Client> {
        let mut sentinels = self.sentinels.clone();
        let first = turn % sentinels.len();
        sentinels.rotate_left(first);
        let mut builder = SentinelClientBuilder::new(sentinels, &self.primary, SentinelServerType::Master)?
            .set_client_to_redis_db(self.database);
        if self.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let Some(user) = &self.server.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.server.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        if let Some(user) = &self.sentinel.user {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = &self.sentinel.password {
            builder = builder.set_client_to_sentinel_password(password.expose());
        }
        builder.build()?.async_get_client().await
    }
}

/// Carries commands; to a cluster, each to the node that has its key.
#[derive(Clone)]
pub(super) enum Connection {
    Server(redis::aio::MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Whether it carries commands. Of a cluster every primary has to answer: one that is away would cost each call
    /// for its keys the wait.
    pub async fn probe(&mut self, name: &str) -> RedisResult<()> {
        match self {
            Connection::Server(connection) => redis::cmd("PING").query_async(connection).await,
            Connection::Cluster(connection) => {
                let mut look = redis::cmd("MGET");
                for number in 0..PROBES {
                    look.arg(format!("{name}:probe:{number}"));
                }
                look.query_async::<Value>(connection).await.map(|_| ())
            }
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::Server(connection) => connection.req_packed_command(command),
            Connection::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::Server(connection) => connection.req_packed_commands(commands, offset, count),
            Connection::Cluster(connection) => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::Server(connection) => connection.get_db(),
            Connection::Cluster(connection) => connection.get_db(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, expected) in [
            ("redis://127.0.0.1:6379/0", Ok(())),
            ("redis://user:hush@127.0.0.1/3", Ok(())),
            ("rediss://cache.example.com:6380/0", Ok(())),
            ("rediss://cache.example.com:6380/0#insecure", Err(InvalidUrl::Fragment)),
            ("http://127.0.0.1", Err(InvalidUrl::Malformed)),
            ("redis://127.0.0.1/zero", Err(InvalidUrl::Malformed)),
            ("", Err(InvalidUrl::Malformed)),
            ("redis+cluster://127.0.0.1:7000,127.0.0.1:7001", Ok(())),
            ("redis+cluster://user:hush@a.example.com,[::1]:7001/", Ok(())),
            ("rediss+cluster://:hush@a.example.com/0", Ok(())),
            ("redis+cluster://a.example.com/1", Err(InvalidUrl::ClusterDatabase)),
            ("redis+cluster://a.example.com,,b.example.com", Err(InvalidUrl::Malformed)),
            ("redis+cluster://", Err(InvalidUrl::Malformed)),
            ("redis+cluster://a.example.com?protocol=resp9", Err(InvalidUrl::Malformed)),
            ("redis+sentinel://a.example.com,b.example.com:26380/main", Ok(())),
            ("redis+sentinel://:hush@[::1]/main/2?sentinel_password=hush%40", Ok(())),
            ("rediss+sentinel://a.example.com/main", Ok(())),
            ("redis+sentinel://a.example.com", Err(InvalidUrl::NoPrimary)),
            ("redis+sentinel://a.example.com/main/two", Err(InvalidUrl::Malformed)),
            ("redis+sentinel://a.example.com/main/-1", Err(InvalidUrl::Malformed)),
            ("redis+sentinel://a.example.com/main?password=x", Err(InvalidUrl::Malformed)),
            ("redis+sentinel://a.example.com#insecure/main", Err(InvalidUrl::Fragment)),
        ] {
            assert_eq!(Address::parse(url).map(|_| ()), expected, "{url}");
        }
    }

    #[test]
    fn a_port_left_out_is_the_usual_one_of_its_kind() {
        let at = |parts: &str, port| {
            let servers = Parts::of(parts).unwrap().servers("redis", port).unwrap();
            servers.iter().map(|server| server.addr().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(at("u:p@a.example.com,b.example.com:1", SENTINEL_PORT), ["a.example.com:26379", "b.example.com:1"]);
        assert_eq!(at("[::1],[::1]:7", REDIS_PORT), ["::1:6379", "::1:7"]);
    }
}
