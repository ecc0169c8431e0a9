use std::path::{Path, PathBuf};
use std::time::Duration;

use dukou_sandbox::{Options, Sandbox};
use dukou_test_servers::{Postgres, free_port};
use tempfile::TempDir;
use toml::Value;

use crate::balancer::Balancer;
use crate::checker::Checker;
use crate::config_files::{self, GatewayFile, Place};
use crate::control::Control;
use crate::eventually::eventually;
use crate::gateway::{Gateway, Launch};
use crate::merchant::Merchant;
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::redis_server::Redis;
use crate::tenant::Tenant;

/// How often a start is tried when another process takes the port first.
const TRIES: usize = 5;
/// How long a client keeps a connection that it does not use: less than the gateway does.
const IDLE: Duration = Duration::from_secs(2);

/// A gateway, the platform it talks to, and everything between.
pub struct World {
    pub gateway: Gateway,
    /// The other instance on the same database, in a world of two.
    pub second: Option<Gateway>,
    /// Before both, where asked for: what platforms and merchants reach.
    pub balancer: Option<Balancer>,
    pub sandbox: Sandbox,
    pub control: Control,
    pub redis: Option<Redis>,
    /// From the gateway to the platform.
    pub platform_proxy: Option<Proxy>,
    /// From the gateway to Redis.
    pub redis_proxy: Option<Proxy>,
    /// From the platform to the gateway.
    pub notify_proxy: Option<Proxy>,
    /// From the gateway to PostgreSQL.
    pub store_proxy: Option<Proxy>,
    pub tenants: Vec<Tenant>,
    client: reqwest::Client,
    directory: TempDir,
    launch: Launch,
    /// The database's address without anything between, where payments live in one.
    database: Option<String>,
}

/// How long a balancer may take to find its gateways.
const BALANCED: Duration = Duration::from_secs(10);

/// What a world has besides one tenant, the bookshop.
#[derive(Default)]
pub struct WorldBuilder {
    tenants: Vec<Tenant>,
    redis: bool,
    platform_proxy: bool,
    redis_proxy: bool,
    notify_proxy: bool,
    settings: Vec<(String, Value)>,
    environment: Vec<(String, String)>,
    store: Option<PathBuf>,
    embedded: bool,
    postgres: bool,
    store_proxy: bool,
    two: bool,
    balancer: bool,
}

/// Set to `postgres`, every world that does not say otherwise keeps its payments there.
const STORE: &str = "DUKOU_TEST_STORE";

impl WorldBuilder {
    /// Adds a tenant; the bookshop is then only there if it is added.
    #[must_use]
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.tenants.push(tenant);
        self
    }

    /// A real Redis, and a gateway that uses it.
    #[must_use]
    pub fn redis(mut self) -> Self {
        self.redis = true;
        self
    }

    /// The gateway reaches the platform through [`World::platform_proxy`].
    #[must_use]
    pub fn platform_proxy(mut self) -> Self {
        self.platform_proxy = true;
        self
    }

    /// A real Redis that the gateway reaches through [`World::redis_proxy`].
    #[must_use]
    pub fn redis_proxy(mut self) -> Self {
        self.redis = true;
        self.redis_proxy = true;
        self
    }

    /// The platform's notifies reach the gateway through [`World::notify_proxy`].
    #[must_use]
    pub fn notify_proxy(mut self) -> Self {
        self.notify_proxy = true;
        self
    }

    /// Sets a key of `gateway.toml`: `.set("server.body_limit", "1KiB")`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// Sets an environment variable of the gateway, for all its runs.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps the store in a file of the caller's, such as one on a small file system.
    #[must_use]
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(path.into());
        self
    }

    /// The embedded store, whatever the others are run on.
    #[must_use]
    pub fn embedded(mut self) -> Self {
        self.embedded = true;
        self
    }

    /// PostgreSQL, whatever the others are run on.
    #[must_use]
    pub fn postgres(mut self) -> Self {
        self.postgres = true;
        self
    }

    /// PostgreSQL that the gateway reaches through [`World::store_proxy`].
    #[must_use]
    pub fn store_proxy(mut self) -> Self {
        self.store_proxy = true;
        self.postgres()
    }

    /// Two instances on one PostgreSQL and one Redis: [`World::gateway`] and [`World::second`].
    #[must_use]
    pub fn two(mut self) -> Self {
        self.two = true;
        self.postgres().redis()
    }

    /// Two instances behind a balancer.
    #[must_use]
    pub fn balanced(mut self) -> Self {
        self.balancer = true;
        self.two()
    }

    fn on_postgres(&self) -> bool {
        let asked = self.postgres || std::env::var(STORE).is_ok_and(|store| store == "postgres");
        asked && self.store.is_none() && !self.embedded
    }

    /// Starts everything; the gateway is ready when this returns.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(self) -> World {
        let on_postgres = self.on_postgres();
        let tenants = if self.tenants.is_empty() { vec![Tenant::bookshop()] } else { self.tenants };
        let merchants = tenants.iter().map(Tenant::at_sandbox).collect();
        let douyin_apps = tenants.iter().filter_map(Tenant::at_douyin).collect();
        let sandbox = Sandbox::start(Options { merchants, douyin_apps, ..Options::default() }).unwrap();
        let redis = if self.redis { Some(Redis::start().await) } else { None };
        // Connections idle for longer may be closed by the gateway just when they are used again.
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).pool_idle_timeout(IDLE).build().unwrap();
        let control = Control::new(&sandbox.http_url(), client.clone());

        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config");
        let platform_proxy =
            self.platform_proxy.then(|| Proxy::start(sandbox.https_url().trim_start_matches("https://")));
        let platform_url = platform_proxy.as_ref().map(|proxy| format!("https://{}", proxy.address()));
        let platform_url = platform_url.unwrap_or_else(|| sandbox.https_url());
        for tenant in &tenants {
            config_files::write_tenant(&config, tenant, &platform_url, &sandbox);
        }
        let redis_proxy = redis.as_ref().filter(|_| self.redis_proxy).map(|redis| Proxy::start(&redis.address()));
        let redis_url = redis.as_ref().map(|redis| match &redis_proxy {
            Some(proxy) => format!("redis://{}/0", proxy.address()),
            None => redis.url(),
        });
        let mut balancer = self.balancer.then(Balancer::new);
        let database = on_postgres.then(|| Postgres::shared().new_database());
        let store_proxy = self.store_proxy.then(|| Proxy::start(&Postgres::shared().address()));
        let store = match &database {
            None => Place::File(self.store.unwrap_or_else(|| directory.path().join("data/dukou.db"))),
            Some(address) => Place::Postgres(match &store_proxy {
                None => address.clone(),
                Some(proxy) => address.replace(&Postgres::shared().address(), &proxy.address()),
            }),
        };

        let mut failure = String::new();
        for _ in 0..TRIES {
            let launch = Launch {
                config: config.clone(),
                log: directory.path().join("gateway.log"),
                port: free_port(),
                admin_port: free_port(),
                environment: self.environment.clone(),
            };
            let listen = format!("127.0.0.1:{}", launch.port);
            let notify_proxy = self.notify_proxy.then(|| Proxy::start(&listen));
            let public = match (&balancer, &notify_proxy) {
                (Some(balancer), _) => balancer.address(),
                (None, Some(proxy)) => proxy.address(),
                (None, None) => listen.clone(),
            };
            let file = GatewayFile {
                listen,
                admin_listen: format!("127.0.0.1:{}", launch.admin_port),
                public_url: format!("http://{public}"),
                store: &store,
                redis_url: redis_url.clone(),
                settings: &self.settings,
            };
            config_files::write_gateway(&config, &file);
            match Gateway::start(launch.clone(), client.clone()).await {
                Ok(gateway) => {
                    let second = match self.two {
                        true => Some(another(&launch, directory.path(), client.clone(), &[]).await.unwrap()),
                        false => None,
                    };
                    if let (Some(balancer), Some(second)) = (&mut balancer, &second) {
                        balancer.serve(&[gateway.ports(), second.ports()]);
                        wait_for(&balancer.address(), &client).await;
                    }
                    return World {
                        gateway,
                        second,
                        balancer,
                        sandbox,
                        control,
                        redis,
                        platform_proxy,
                        redis_proxy,
                        notify_proxy,
                        store_proxy,
                        tenants,
                        client,
                        directory,
                        launch,
                        database,
                    };
                }
                Err(log) if log.contains("cannot listen on") => failure = log,
                Err(log) => panic!("the gateway does not start:\n{log}"),
            }
        }
        panic!("the gateway finds no free port:\n{failure}");
    }
}

impl World {
    /// A gateway with one tenant, the bookshop, and the embedded store.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// # Panics
    /// When there is no such tenant.
    pub fn tenant(&self, id: &str) -> &Tenant {
        self.tenants.iter().find(|tenant| tenant.id == id).unwrap_or_else(|| panic!("no tenant {id}"))
    }

    /// The backend of a tenant.
    ///
    /// # Panics
    /// When there is no such tenant.
    pub fn merchant(&self, id: &str) -> Merchant {
        let url = self.balancer.as_ref().map_or_else(|| self.gateway.url(), |b| format!("http://{}", b.address()));
        Merchant::new(self.tenant(id), &url, self.client.clone())
    }

    /// The backend of a tenant that makes a connection for every request, so that a balancer spreads them.
    ///
    /// # Panics
    /// When there is no such tenant, or no balancer.
    pub fn scattered_merchant(&self, id: &str) -> Merchant {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).pool_max_idle_per_host(0);
        let url = format!("http://{}", self.balancer.as_ref().unwrap().address());
        Merchant::new(self.tenant(id), &url, client.build().unwrap())
    }

    /// The backend of a tenant that asks the second instance.
    ///
    /// # Panics
    /// When there is no such tenant, or no second instance.
    pub fn merchant_at_second(&self, id: &str) -> Merchant {
        Merchant::new(self.tenant(id), &self.second().url(), self.client.clone())
    }

    /// The other instance.
    ///
    /// # Panics
    /// When there is none.
    pub fn second(&self) -> &Gateway {
        self.second.as_ref().unwrap()
    }

    /// The bookshop and its backend: what most walks need.
    pub fn bookshop(&self) -> (Tenant, Merchant) {
        (self.tenant("bookshop").clone(), self.merchant("bookshop"))
    }

    /// One scrape of the gateway's metrics, or of both gateways'.
    pub async fn metrics(&self) -> Metrics {
        let metrics = self.gateway.metrics().await;
        match &self.second {
            Some(second) => metrics.and(second.metrics().await),
            None => metrics,
        }
    }

    /// What a tenant's notifies of one kind are sent to.
    pub fn notify_url(&self, tenant: &str, kind: &str) -> String {
        format!("{}/notify/{tenant}/wechat/{kind}", self.gateway.url())
    }

    /// A client that speaks plain HTTP to anything.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Makes an empty database in PostgreSQL and lets the configuration lead there, from the next start on.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    pub fn lead_to_postgres(&mut self) -> String {
        let address = Postgres::shared().new_database();
        config_files::set_storage(self.gateway.config(), &address);
        self.database = Some(address.clone());
        address
    }

    /// Whether payments are in PostgreSQL.
    pub fn is_on_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// The address of the world's own database.
    ///
    /// # Panics
    /// When its payments are not in PostgreSQL.
    pub fn database(&self) -> String {
        self.database.clone().unwrap()
    }

    /// Runs a statement in the world's own database and returns what it prints.
    ///
    /// # Panics
    /// When the world's payments are not in PostgreSQL, or the statement fails.
    pub fn sql(&self, statement: &str) -> String {
        let address = self.database.as_deref().unwrap();
        Postgres::shared().sql(Postgres::database_of(address), statement)
    }

    /// A folder that lives as long as the world.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The checker over this world; see [`Checker::verify`].
    pub fn checker(&self) -> Checker<'_> {
        Checker::new(self)
    }

    /// Reads everything and fails if any rule was broken.
    ///
    /// # Panics
    /// When one was: with every violation.
    pub async fn verify(&self) {
        self.checker().verify().await;
    }

    /// Starts another gateway with the same configuration on ports of its own, with further environment variables.
    ///
    /// # Errors
    /// The end of its log, when it does not become ready.
    pub async fn start_another(&self, environment: &[(&str, &str)]) -> Result<Gateway, String> {
        another(&self.launch, self.directory.path(), self.client.clone(), environment).await
    }
}

/// Starts a gateway with the configuration of another one, on ports of its own.
async fn another(
    first: &Launch,
    directory: &Path,
    client: reqwest::Client,
    environment: &[(&str, &str)],
) -> Result<Gateway, String> {
    let mut launch = first.clone();
    launch.log = directory.join(format!("gateway-{}.log", free_port()));
    launch.port = free_port();
    launch.admin_port = free_port();
    let listen = |port: u16| format!("127.0.0.1:{port}");
    launch.environment.push(("DUKOU__SERVER__LISTEN".to_owned(), listen(launch.port)));
    launch.environment.push(("DUKOU__ADMIN__LISTEN".to_owned(), listen(launch.admin_port)));
    launch.environment.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Gateway::start(launch, client).await
}

/// Waits until a balancer leads somewhere.
async fn wait_for(address: &str, client: &reqwest::Client) {
    eventually("the balancer leads to a gateway", BALANCED, async || {
        client.get(format!("http://{address}/openapi.json")).send().await.is_ok().then_some(())
    })
    .await;
}
