//! Which addresses a caller may choose for us to call: public ones. The gateway calls from inside a
//! network that holds what nobody outside may reach.
//!
//! To be looked at twice: where the address is read, as far as it can be seen there, and when a
//! connection is opened, at the very address that is dialled. A name that changes its meaning in
//! between gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The address may not be called, or there is none: the text is the same, so that it tells nothing
/// about the gateway's own network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host leads to no public address")]
pub struct NotPublic;

/// Blocks of IPv4 that are not the public Internet (IANA's special-purpose registry), as network
/// and prefix length. The metadata services of clouds are among them: 169.254.169.254,
/// 100.100.100.200.
const IPV4_BLOCKS: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, and what lies above it.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Blocks within IPv6's global unicast space that are not the public Internet: protocol
/// assignments (Teredo among them), documentation, 6to4.
const IPV6_BLOCKS: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Outside of this nothing is public: not loopback, not link-local, not unique-local, not
/// multicast, and no form that carries an IPv4 address (mapped, compatible, NAT64).
const IPV6_GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Whether an address is on the public Internet; one of IPv6 that stands for an IPv4 address never is.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !IPV4_BLOCKS.iter().any(|block| in_ipv4(address, *block)),
        IpAddr::V6(address) => {
            in_ipv6(address, IPV6_GLOBAL) && !IPV6_BLOCKS.iter().any(|block| in_ipv6(address, *block))
        }
    }
}

fn in_ipv4(address: Ipv4Addr, (network, length): (Ipv4Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= length
}

fn in_ipv6(address: Ipv6Addr, (network, length): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= length
}

/// Looks at the host as far as it can be seen without asking anybody: an address in any of its
/// spellings, and the names that always mean this machine.
///
/// # Errors
/// [`NotPublic`], also for a URL without a host.
pub fn check_host(url: &Url) -> Result<(), NotPublic> {
    let allowed = match url.host() {
        Some(Host::Ipv4(address)) => is_public(address.into()),
        Some(Host::Ipv6(address)) => is_public(address.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            !name.is_empty() && name != "localhost" && !name.ends_with(".localhost")
        }
        None => false,
    };
    if allowed { Ok(()) } else { Err(NotPublic) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_public_addresses_may_be_called() {
        for (address, public) in [
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.0.0.1", false),
            ("100.63.255.255", true),
            ("100.64.0.0", false),
            ("100.100.100.200", false),
            ("100.127.255.255", false),
            ("100.128.0.0", true),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.169.254", false),
            ("172.15.255.255", true),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("192.0.0.8", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("203.0.113.9", false),
            ("223.255.255.255", true),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("8.8.8.8", true),
            ("114.114.114.114", true),
            ("::", false),
            ("::1", false),
            ("::7f00:1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::808:808", false),
            ("64:ff9b:1::1", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("2002:808:808::", false),
            ("3fff::1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
            ("2400:3200::1", true),
            ("2606:4700:4700::1111", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn every_spelling_of_an_address_is_seen_in_the_configuration() {
        for (url, allowed) in [
            ("https://shop.example.com/dukou", true),
            ("https://8.8.8.8/", true),
            ("https://[2606:4700:4700::1111]/", true),
            ("http://127.0.0.1/", false),
            ("http://127.1/", false),
            ("http://2130706433/", false),
            ("http://0x7f.0.0.1/", false),
            ("http://0177.0.0.1/", false),
            ("http://①②⑦.⓪.⓪.①/", false),
            ("http://127.0.0.1./", false),
            ("http://0/", false),
            ("http://[::1]/", false),
            ("http://[::ffff:169.254.169.254]/", false),
            ("http://169.254.169.254/latest/meta-data/", false),
            ("http://100.100.100.200/", false),
            ("http://[fd00:ec2::254]/", false),
            ("http://localhost/", false),
            ("http://LOCALHOST:8080/", false),
            ("http://localhost./", false),
            ("http://shop.localhost/", false),
            ("https://localhost.example.com/", true),
            ("https://user@127.0.0.1/", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(check_host(&url).is_ok(), allowed, "{url}");
        }
        assert_eq!(check_host(&Url::parse("mailto:a@b").unwrap()), Err(NotPublic));
    }

    proptest! {
        #[test]
        fn no_ipv6_address_carries_a_private_ipv4_one(bits: u32) {
            let inner = Ipv4Addr::from_bits(bits);
            let low = u128::from(bits);
            for outer in [low, 0xffff << 32 | low, 0x64_ff9b << 96 | low, 0x2002 << 112 | low << 80] {
                prop_assert!(!is_public(Ipv6Addr::from_bits(outer).into()), "{inner}");
            }
        }
    }
}
