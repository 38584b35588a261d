//! Which addresses are everybody's, and not the inside of some network: the IANA special-purpose registries (RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// Networks and the lengths of their prefixes.
const SPECIAL_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    // Shared between the customers of a provider (RFC 6598).
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Link-local; of clouds, what tells a machine its credentials.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast, and above it what is reserved, broadcast included.
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

// Of 2000::/3, which is all that is handed out.
const SPECIAL_V6: [([u16; 3], u32); 4] = [
    // Protocols, Teredo among them, which hides an IPv4 address.
    ([0x2001, 0, 0], 23),
    ([0x2001, 0xdb8, 0], 32),
    // 6to4, which hides one too.
    ([0x2002, 0, 0], 16),
    ([0x3fff, 0, 0], 20),
];

/// Whether an address is global: reachable from everywhere, and nobody's inside.
///
/// An IPv6 address that stands for an IPv4 one (mapped, or behind NAT64) is what that one is.
#[must_use]
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_global_v4(v4),
        IpAddr::V6(v6) => is_global_v6(v6),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let is_in = |(network, prefix): &([u8; 4], u32)| {
        (address.to_bits() ^ Ipv4Addr::from(*network).to_bits()) >> (32 - prefix) == 0
    };
    !SPECIAL_V4.iter().any(is_in)
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // RFC 4291 section 2.5.5.2, RFC 6052 section 2.1.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_global_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        segments => {
            let is_in = |([a, b, c], prefix): &([u16; 3], u32)| {
                let network = Ipv6Addr::new(*a, *b, *c, 0, 0, 0, 0, 0).to_bits();
                (address.to_bits() ^ network) >> (128 - prefix) == 0
            };
            segments.first().is_some_and(|first| first >> 13 == 1) && !SPECIAL_V6.iter().any(is_in)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_that_is_everybodys_is_global() {
        for global in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::",
            "2001:4860:4860::8888",
            "2003::1",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(is_global(global.parse().unwrap()), "{global}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::1.1.1.1",
            "::127.0.0.1",
            "::ffff:0:1.1.1.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:100.64.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:101:101::",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_global(special.parse().unwrap()), "{special}");
        }
    }
}
