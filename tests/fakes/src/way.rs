//! What can be on the way to a server: a proxy, and TLS with a certificate of a private authority.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// A proxy on loopback, for `CONNECT` and for requests with a whole address. Every name leads to one server. It ends
/// with the runtime.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where it listens, without `http://`.
    pub address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts one that leads to `server`, an address such as `127.0.0.1:80`.
    pub async fn start(server: &str) -> Self {
        let (listener, address) = listen().await;
        let (heads, server) = (Arc::new(Mutex::new(Vec::new())), server.to_owned());
        let proxy = Self { address: address.to_string(), heads: Arc::clone(&heads) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), Arc::clone(&heads)));
            }
        });
        proxy
    }

    /// The heads of the requests that it was sent, oldest first.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("nothing panics while the lock is held").clone()
    }
}

async fn forward(mut client: TcpStream, server: String, heads: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let connects = text.starts_with("CONNECT ");
    heads.lock().expect("nothing panics while the lock is held").push(text);
    let mut server = TcpStream::connect(server).await?;
    if connects {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    } else {
        server.write_all(&head).await?;
    }
    copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}

/// Speaks TLS as `host` before a server that does not. Gives back its address, and the authority's certificate in PEM.
pub async fn tls(host: &str, server: &str) -> (String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("ring makes a key"));
    let authority = authority.expect("the parameters are right");
    let key = KeyPair::generate().expect("ring makes a key");
    let params = CertificateParams::new([host.to_owned()]).expect("the host is a name");
    let certificate = params.signed_by(&key, &authority).expect("the parameters are right");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it was made so");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of every version")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key belongs to the certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listen().await;
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                copy_bidirectional(&mut client, &mut TcpStream::connect(server).await?).await
            });
        }
    });
    let der = STANDARD.encode(authority.der());
    (address.to_string(), format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n"))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    (listener, address)
}
