//! TLS with certificates that this process makes for itself.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// The names of the protocols in ALPN.
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// There is one authority for all servers of the process, so that a client which trusts one server trusts those that follow.
static AUTHORITY: Mutex<Option<Arc<Authority>>> = Mutex::new(None);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> io::Result<Arc<Authority>> {
    let mut authority = AUTHORITY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(authority) = &*authority {
        return Ok(Arc::clone(authority));
    }
    let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    let name = format!("axiom-local {}", std::process::id());
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let made = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
    Ok(Arc::clone(authority.insert(Arc::new(made))))
}

/// A server's certificate and the file of its authority.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    pem: String,
    file: PathBuf,
    is_temporary: bool,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Makes a certificate for this machine, and writes the authority's certificate to a file. A file that the caller names
    /// stays. Otherwise it is a temporary file, which is removed with the server.
    pub(crate) fn new(file: Option<PathBuf>, port: u16) -> io::Result<Self> {
        let authority = authority()?;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names = [
            "localhost".to_owned(),
            Ipv4Addr::LOCALHOST.to_string(),
            Ipv6Addr::LOCALHOST.to_string(),
        ];
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        let certificate = params
            .signed_by(&key, &authority)
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        let is_temporary = file.is_none();
        let file = file.unwrap_or_else(|| {
            let name = format!("axiom-local-{}-{port}.pem", std::process::id());
            std::env::temp_dir().join(name)
        });
        let tls = Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            pem: authority.pem(),
            file,
            is_temporary,
        };
        tls.write(port).map_err(|error| {
            let message = format!("{} can not be written: {error}", tls.file.display());
            io::Error::new(error.kind(), message)
        })?;
        Ok(tls)
    }

    /// Writes the file whole or not at all, because a client may be reading it, and another server may be writing it.
    fn write(&self, port: u16) -> io::Result<()> {
        let mut new = self.file.clone().into_os_string();
        new.push(format!(".{port}.new"));
        let mut file = std::fs::File::create(&new)?;
        file.write_all(self.pem.as_bytes())?;
        drop(file);
        std::fs::rename(new, &self.file)
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        if self.is_temporary {
            // The file may have been removed already.
            drop(std::fs::remove_file(&self.file));
        }
    }
}
