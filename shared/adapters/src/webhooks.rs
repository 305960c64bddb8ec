//! Posts webhooks as Standard Webhooks 1.0 defines them, and never to an address that is not public.
//!
//! The URL of an endpoint is a stranger's. A host that is an IP address is checked as the URL parser reads it, whatever its
//! spelling; a name is looked up for each request, and only its public addresses are connected to, so an answer of DNS
//! that changes afterwards has no effect. Redirects are not followed.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::DeliveryFault;
use engine::ports::{Posting, WEBHOOK_TIMEOUT, WebhookSender};
use futures_util::future::BoxFuture;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
};
use ring::hmac;
use secrecy::ExposeSecret as _;

use crate::http::{self, ClientOptions, Failure, LazyClient, Network, is_private};

/// Every attempt opens its own connection, so the address of each is checked.
const OPTIONS: ClientOptions =
    ClientOptions { connect: std::time::Duration::from_secs(5), total: WEBHOOK_TIMEOUT, keep_alive: false };
/// How much of an answer is read. Only its status counts.
const MAX_ANSWER: usize = 64 * 1024;

/// The hosts that webhooks may reach although they are not public, and without TLS.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts {
    /// Each alone or with a port.
    pub hosts: Vec<AllowedHost>,
    /// And this machine: for a server that only this machine reaches.
    pub loopback: bool,
}

/// A host, alone or with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    host: String,
    port: Option<u16>,
}

/// The text names no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be hosts such as hooks.internal or 10.0.0.7:8080, comma separated")]
pub struct InvalidHost;

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || "/\\?#@*".contains(c)) {
            return Err(InvalidHost);
        }
        // Not of a scheme whose default port the parser would leave out.
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| InvalidHost)?;
        let port = text.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).filter(|_| !text.ends_with(']'));
        Ok(Self { host: url.host_str().ok_or(InvalidHost)?.to_owned(), port })
    }
}

impl AllowedHosts {
    fn allow(&self, url: &Url) -> bool {
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
        let is_it = |known: &AllowedHost| known.host == host && (known.port.is_none() || known.port == port);
        self.hosts.iter().any(is_it) || (self.loopback && is_loopback(host))
    }
}

/// Whether a host is this machine by its own name or number. Another spelling, such as an IPv4 address in an IPv6 one, is
/// not.
fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Looks the addresses of a name up.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The system's own lookup.
pub fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) })
    })
}

/// Posts webhooks.
pub struct HttpWebhooks {
    allowed: AllowedHosts,
    proxies: Vec<String>,
    lookup: Lookup,
    /// Connects to public addresses only.
    guarded: LazyClient,
    /// For allowed hosts.
    open: LazyClient,
}

impl HttpWebhooks {
    /// Posts over this network.
    pub fn new(network: &Network, allowed: AllowedHosts, lookup: Lookup) -> Self {
        let proxies = network.proxy_hosts().to_vec();
        let resolver = PublicOnly { proxies: proxies.clone(), lookup: lookup.clone() };
        let guarded = network.client_with(OPTIONS, Arc::new(resolver));
        // This machine and the private network are not behind a proxy.
        Self { open: network.clone().direct().client(OPTIONS), guarded, allowed, proxies, lookup }
    }

    /// The client that may reach a URL; says why none may.
    fn client(&self, url: &Url) -> Result<&LazyClient, &'static str> {
        if self.allowed.allow(url) {
            return if matches!(url.scheme(), "https" | "http") { Ok(&self.open) } else { Err("must be an https URL") };
        }
        if url.scheme() != "https" {
            return Err("must be an https URL");
        }
        let host = url.host_str().unwrap_or_default();
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_refused = ip.map_or_else(|_| is_private(url.as_str()), |ip| !is_public(ip));
        if is_refused || self.proxies.iter().any(|proxy| proxy == host) {
            return Err("must lead to a public address");
        }
        Ok(&self.guarded)
    }
}

#[async_trait]
impl WebhookSender for HttpWebhooks {
    fn check(&self, url: &str) -> Result<(), String> {
        if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("must have no white space".to_owned());
        }
        let url = Url::parse(url).map_err(|error| format!("must be an https URL: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("must have no user, password or fragment; deliveries are signed instead".to_owned());
        }
        self.client(&url).map(drop).map_err(str::to_owned)
    }

    async fn post(&self, posting: &Posting<'_>) -> Result<u16, DeliveryFault> {
        let url = Url::parse(posting.url).map_err(|_| DeliveryFault::AddressNotAllowed)?;
        // The exceptions may have changed since the endpoint was made.
        let client = self.client(&url).map_err(|_| DeliveryFault::AddressNotAllowed)?;
        if !self.proxies.is_empty()
            && !self.allowed.allow(&url)
            && let Some(host) = url.domain()
            && let Ok(found) = (self.lookup)(host.to_owned()).await
            && !found.into_iter().all(is_public)
        {
            // A proxy looks the name up by itself. What this machine knows of it counts too.
            return Err(DeliveryFault::AddressNotAllowed);
        }
        let (id, timestamp) = (posting.id.to_string(), posting.at.as_second().to_string());
        let signed = format!("{id}.{timestamp}.{}", posting.body);
        let signatures: Vec<_> =
            posting.secrets.iter().filter_map(|secret| sign(secret.expose_secret(), &signed)).collect();
        let request = client.get().post(url).header(CONTENT_TYPE, "application/json").body(posting.body.to_owned());
        let request = request
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "));
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                // So that the endpoint can finish its answer.
                let _ = http::read(response, MAX_ANSWER).await;
                Ok(status)
            }
            Err(error) if is_refusal(&error) => Err(DeliveryFault::AddressNotAllowed),
            Err(error) => Err(match Failure::from(&error) {
                Failure::Invalid | Failure::NoConnection => DeliveryFault::NoConnection,
                Failure::TimedOut => DeliveryFault::TimedOut,
                Failure::Broken | Failure::TooLong => DeliveryFault::Broken,
            }),
        }
    }
}

/// The signature by one secret; none if the secret is not one of ours.
fn sign(secret: &str, text: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
    Some(format!("v1,{}", STANDARD.encode(signature)))
}

/// Looks names up, and knows only their public addresses.
struct PublicOnly {
    /// The proxies, which are the operator's own.
    proxies: Vec<String>,
    lookup: Lookup,
}

#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
struct NotPublic;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let is_proxy = self.proxies.contains(&name);
        let found = (self.lookup)(name);
        Box::pin(async move {
            let found = found.await?;
            let public: Vec<_> = found.iter().copied().filter(|ip| is_proxy || is_public(*ip)).collect();
            if public.is_empty() && !found.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(public.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause.filter(|error| !error.is::<NotPublic>()) {
        cause = error.source();
    }
    cause.is_some()
}

/// The first address and the length of each block of IPv4 that is not globally reachable: IANA's registry of special-purpose
/// addresses (RFC 6890), multicast, and the address at which Azure's hosts serve their guests.
const NOT_PUBLIC_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// The same of IPv6, within its global unicast addresses 2000::/3: protocol assignments with Teredo, documentation, 6to4.
/// Whatever is outside, such as IPv4 in IPv6, NAT64, private and link-local addresses, is not public.
const NOT_PUBLIC_V6: [([u16; 2], u32); 4] =
    [([0x2001, 0], 23), ([0x2001, 0xdb8], 32), ([0x2002, 0], 16), ([0x3fff, 0], 20)];

/// Whether an address is globally reachable, as far as its number tells.
fn is_public(ip: IpAddr) -> bool {
    let within = |ip: u32, block: u32, length: u32| (ip ^ block) >> (32 - length) == 0;
    match ip {
        IpAddr::V4(ip) => {
            let blocks = NOT_PUBLIC_V4.map(|(first, length)| (Ipv4Addr::from(first).to_bits(), length));
            !blocks.into_iter().any(|(block, length)| within(ip.to_bits(), block, length))
        }
        IpAddr::V6(ip) => {
            let high = |ip: Ipv6Addr| u32::try_from(ip.to_bits() >> 96).unwrap_or(0);
            let block = |[first, second]: [u16; 2]| u32::from(first) << 16 | u32::from(second);
            within(high(ip), 0x2000_0000, 3)
                && !NOT_PUBLIC_V6.into_iter().any(|(first, length)| within(high(ip), block(first), length))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_as_the_standard_says() {
        // The example of the specification's reference libraries.
        let text = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(sign(secret, text).unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        for wrong in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%"] {
            assert_eq!(sign(wrong, text).is_some(), wrong == "whsec_", "{wrong}");
        }
    }

    fn sender(allowed: AllowedHosts, lookup: Lookup) -> HttpWebhooks {
        HttpWebhooks::new(&Network::default(), allowed, lookup)
    }

    const HERE: AllowedHosts = AllowedHosts { hosts: Vec::new(), loopback: true };

    #[test]
    fn an_address_that_is_not_public_is_refused_however_it_is_spelt() {
        let (strict, here) = (sender(AllowedHosts::default(), system_lookup()), sender(HERE, system_lookup()));
        for url in [
            // Loopback, in every spelling of a number that the URL standard knows.
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "127.255.255.254",
            "2130706433",
            "0x7f000001",
            "0x7F.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "①②⑦.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "app.localhost",
            // IPv4 in IPv6: mapped, compatible, NAT64, 6to4, Teredo.
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[::8.8.8.8]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::8.8.8.8]",
            "[64:ff9b:1::a00:1]",
            "[2002:7f00:1::]",
            "[2002:808:808::1]",
            "[2001::1]",
            "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
            // Private, shared, link-local, metadata.
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.168.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "2852039166",
            "0xa9fea9fe",
            "168.63.129.16",
            "100.100.100.200",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[fdff:ffff::1]",
            "[fe80::1]",
            "[febf::1]",
            "[fec0::1]",
            "metadata.google.internal",
            "printer.local",
            "intranet",
            // Unspecified, broadcast, multicast, reserved, documentation, benchmarks.
            "0.0.0.0",
            "0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "198.19.255.255",
            "192.88.99.1",
            "[::]",
            "[ff02::1]",
            "[ff0e::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[2001:2::1]",
            "[2001:10::1]",
            "[100::1]",
            "[5f00::1]",
            "[4000::1]",
            "[1fff::1]",
        ] {
            let url = format!("https://{url}/hook");
            assert!(strict.check(&url).is_err(), "{url}");
            let is_here = Url::parse(&url).is_ok_and(|url| is_loopback(url.host_str().unwrap()));
            assert_eq!(here.check(&url).is_ok(), is_here, "{url} on a server that only this machine reaches");
        }
        for host in [
            "example.com",
            "8.8.8.8",
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.0.3.1",
            "192.88.98.1",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.1",
            "203.0.112.1",
            "203.0.114.1",
            "223.255.255.255",
            "134744072",
            "[2606:4700:4700::1111]",
            "[2001:4860:4860::8888]",
            "[2001:200::1]",
            "[2001:db7::1]",
            "[2001:db9::1]",
            "[2003::1]",
            "[3ffe::1]",
            "[2a00::1]",
            "localhost.example.com",
            "10.0.0.1.example.com",
            "example.com:8443",
        ] {
            let url = format!("https://{host}/hook");
            assert_eq!(strict.check(&url), Ok(()), "{url}");
            assert!(strict.check(&url.replace("https", "http")).is_err(), "{url} without TLS");
        }
        for url in [
            "",
            "x",
            "https://",
            "https:///x",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "data:,x",
            "javascript:alert(1)",
            "https://user@example.com/",
            "https://user:word@example.com/",
            "https://:word@example.com/",
            "https://example.com/#part",
            " https://example.com/",
            "https://example.com/\n",
            "https://exa\tmple.com/",
            "https://example.com:0x50/",
            "https://example.com:99999/",
            "https://[::1/",
            "http://example.com/",
            "//example.com/",
            "https://127.0.0.1#@example.com/",
            "https://256.0.0.1/",
            "https://1.2.3.4.5/",
        ] {
            assert!(strict.check(url).is_err() && here.check(url).is_err(), "{url:?}");
        }
        for url in ["http://127.0.0.1:8080/", "http://localhost:8080/", "http://[::1]:8080/", "https://127.0.0.1/"] {
            assert_eq!(here.check(url), Ok(()), "{url}");
        }
    }

    /// The name's addresses, one answer after the other; the last one stays.
    fn answers(answers: &[&str]) -> Lookup {
        let answers: Vec<Vec<IpAddr>> =
            answers.iter().map(|ips| ips.split(' ').map(|ip| ip.parse().unwrap()).collect()).collect();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        Arc::new(move |_| {
            let turn = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst).min(answers.len() - 1);
            let answer = answers[turn].clone();
            Box::pin(async move { Ok(answer) })
        })
    }

    #[tokio::test]
    async fn the_address_that_is_connected_to_is_the_one_that_was_checked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://rebound.example.com:{}/", listener.local_addr().unwrap().port());
        let posting = Posting {
            url: &url,
            id: domain::DeliveryId(uuid::Uuid::nil()),
            at: jiff::Timestamp::UNIX_EPOCH,
            body: "{}",
            secrets: &[],
        };
        for ips in [
            "127.0.0.1",
            "10.0.0.1 127.0.0.1",
            "169.254.169.254",
            "::ffff:127.0.0.1",
            "::1",
            "64:ff9b::7f00:1",
            "fd00::1",
        ] {
            let sender = sender(HERE, answers(&[ips]));
            assert_eq!(sender.check(&url), Ok(()), "a name may lead anywhere");
            assert_eq!(sender.post(&posting).await, Err(DeliveryFault::AddressNotAllowed), "{ips}");
        }
        // Whatever the name led to before, each attempt looks, once, and connects to what it saw.
        let lookup = answers(&["198.41.0.4", "127.0.0.1", "198.41.0.4"]);
        let resolver = PublicOnly { proxies: Vec::new(), lookup };
        let addresses = async || {
            let found = resolver.resolve("rebound.example.com".parse().unwrap()).await;
            found
                .map(|found| found.map(|address| address.ip().to_string()).collect::<Vec<_>>())
                .map_err(|error| error.to_string())
        };
        assert_eq!(addresses().await.unwrap(), ["198.41.0.4"]);
        assert!(addresses().await.unwrap_err().contains("no public address"));
        let mixed = PublicOnly { proxies: Vec::new(), lookup: answers(&["10.0.0.1 198.41.0.4 ::1"]) };
        let public: Vec<_> = mixed.resolve("x.example.com".parse().unwrap()).await.unwrap().collect();
        assert_eq!(public, ["198.41.0.4:0".parse().unwrap()]);
        let accepted = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
        assert!(accepted.is_err(), "nothing was connected to");
    }

    #[tokio::test]
    async fn behind_a_proxy_names_that_are_known_here_as_private_are_refused_and_the_proxy_is_no_target() {
        let mut network = Network::default();
        network.add_proxy(true, "http://proxy.contoso.com:9", "").unwrap();
        let posting = |url| Posting {
            url,
            id: domain::DeliveryId(uuid::Uuid::nil()),
            at: jiff::Timestamp::UNIX_EPOCH,
            body: "{}",
            secrets: &[],
        };
        let sender = HttpWebhooks::new(&network, AllowedHosts::default(), answers(&["10.0.0.1"]));
        let refused = sender.post(&posting("https://inside.example.com/")).await;
        assert_eq!(refused, Err(DeliveryFault::AddressNotAllowed));
        assert!(sender.check("https://proxy.contoso.com/").is_err());
        // The proxy's own address is the operator's, and may be private: here nothing listens there.
        let unknown: Lookup = Arc::new(|name| {
            let found =
                if name == "proxy.contoso.com" { Ok(vec![[127, 0, 0, 1].into()]) } else { Err(io::Error::other("no")) };
            Box::pin(async { found })
        });
        let sender = HttpWebhooks::new(&network, AllowedHosts::default(), unknown);
        assert_eq!(sender.post(&posting("https://outside.example.com/")).await, Err(DeliveryFault::NoConnection));
    }

    #[test]
    fn exceptions_are_hosts_with_or_without_a_port() {
        let allowed = |hosts: &str| AllowedHosts {
            hosts: hosts.split(',').map(|host| host.parse().unwrap()).collect(),
            loopback: false,
        };
        let hosts = allowed("Hooks.internal,10.0.0.7:8080,[fd00::1]:443,0x7f.1");
        for (url, is_allowed) in [
            ("https://hooks.internal/a", true),
            ("http://hooks.internal:81/a", true),
            ("https://x.hooks.internal/", false),
            ("https://hooks.internal.example.com/", false),
            ("http://10.0.0.7:8080/", true),
            ("http://10.0.0.7/", false),
            ("http://10.0.0.7:8081/", false),
            ("http://167772167:8080/", true),
            ("https://[fd00::1]/", true),
            ("http://[fd00::1]/", false),
            ("http://[fd00:0::1]:443/", true),
            ("http://127.0.0.1:5/", true),
            ("http://127.0.0.2:5/", false),
            ("http://[::ffff:127.0.0.1]:5/", false),
        ] {
            assert_eq!(hosts.allow(&url.parse().unwrap()), is_allowed, "{url}");
        }
        for wrong in ["", "a/b", "a b", "*.internal", "user@host", "https://host", "host:port", "[::1", "host:99999"] {
            assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
        }
    }
}
