//! Whose address a request came from, where proxies stand in between.

use std::net::IpAddr;

use actix_web::HttpRequest;
use ipnet::IpNet;

const FORWARDED: &str = "X-Forwarded-For";

/// Addresses whose word about the client is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Addresses and networks (`10.0.0.0/8`). The error is the first that is neither.
    ///
    /// # Errors
    /// The text that is no address.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let network = |text: &str| {
            let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
            text.parse::<IpNet>().ok().or_else(address).ok_or_else(|| text.to_owned())
        };
        texts.into_iter().map(network).collect::<Result<_, _>>().map(TrustedProxies)
    }

    /// The client's address: the peer's own, or the last in `X-Forwarded-For` that is no trusted proxy,
    /// where the peer is one. What a client wrote itself stands before that and is not believed.
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip().to_canonical();
        let values = request.headers().get_all(FORWARDED).filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        let mut client = peer;
        for hop in hops.into_iter().rev() {
            if !self.0.iter().any(|network| network.contains(&client)) {
                break;
            }
            match hop.parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        Some(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let proxies = TrustedProxies::parse(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]).unwrap();
        for (peer, forwarded, client) in [
            ("203.0.113.9:1", &[][..], "203.0.113.9"),
            ("203.0.113.9:1", &["198.51.100.1"], "203.0.113.9"),
            ("10.1.2.3:1", &[], "10.1.2.3"),
            ("10.1.2.3:1", &["198.51.100.1"], "198.51.100.1"),
            ("[::ffff:10.1.2.3]:1", &["198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3:1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3:1", &["1.1.1.1", "198.51.100.1, 192.0.2.1"], "198.51.100.1"),
            ("10.1.2.3:1", &["198.51.100.1, unknown"], "10.1.2.3"),
            ("10.1.2.3:1", &["10.9.9.9"], "10.9.9.9"),
            ("[2001:db8::1]:1", &["2001:db9::7"], "2001:db9::7"),
        ] {
            let request = TestRequest::get().peer_addr(peer.parse().unwrap());
            let request = forwarded.iter().fold(request, |request, value| request.append_header((FORWARDED, *value)));
            let found = proxies.client(&request.to_http_request());
            assert_eq!(found, client.parse().ok(), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        assert_eq!(TrustedProxies::parse(["10.0.0.0/8", "proxy.local"]), Err("proxy.local".to_owned()));
        assert!(TrustedProxies::parse(["10.0.0.0/33"]).is_err());
    }
}
