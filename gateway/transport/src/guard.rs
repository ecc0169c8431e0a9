//! Resolves names to public addresses alone, at the moment of dialling.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use dukou_spi::public_address::{NotPublic, is_public};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Finds the addresses of a name.
pub type Lookup =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync>;

/// The machine's own way.
pub fn system_lookup() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
}

/// Resolves names to addresses that may be called; the connection goes to one of exactly these.
pub struct GuardedResolver {
    pub lookup: Lookup,
    pub allow_private: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str().to_owned());
        let allow_private = self.allow_private;
        Box::pin(async move {
            let mut addresses = found.await.unwrap_or_default();
            addresses.retain(|address| allow_private || is_public(address.ip()));
            if addresses.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(allow_private: bool, addresses: &[&str]) -> GuardedResolver {
        let addresses: Vec<SocketAddr> =
            addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
        let lookup: Lookup = Arc::new(move |_| {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        });
        GuardedResolver { lookup, allow_private }
    }

    async fn resolved(resolver: GuardedResolver) -> Result<Vec<String>, String> {
        let addresses = resolver.resolve("shop.example.com".parse().unwrap()).await;
        addresses.map(|found| found.map(|one| one.ip().to_string()).collect()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_name_leads_to_its_public_addresses_alone() {
        let mixed = ["127.0.0.1", "8.8.8.8", "fd00::1"];
        assert_eq!(resolved(resolver(false, &mixed)).await.unwrap(), ["8.8.8.8"]);
        assert_eq!(resolved(resolver(true, &mixed)).await.unwrap(), mixed);
        let private = resolved(resolver(false, &["10.0.0.1"])).await.unwrap_err();
        let nothing = resolved(resolver(false, &[])).await.unwrap_err();
        assert_eq!(private, nothing, "whether the name exists inside is not told");
        let away: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("no resolver at 10.0.0.53")) }));
        assert_eq!(resolved(GuardedResolver { lookup: away, allow_private: false }).await.unwrap_err(), nothing);
    }
}
