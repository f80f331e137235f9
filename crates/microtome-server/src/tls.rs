//! TLS: certificate and key from PEM files, checked before the server listens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How a TLS handshake names HTTP/2.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file with the server's certificate, then those that vouch for it.
    pub cert: PathBuf,
    /// PEM file with the private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// Why certificate and key can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("{flag}: {} cannot be read", .path.display())]
    Unreadable {
        /// The setting that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is no PEM.
    #[error("{}: is not to be read as PEM", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// A file is PEM, or empty, without what it is there for.
    #[error("{}: holds no {wanted}; it is to be a PEM file with one", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// Certificate and key don't belong together, or are of a kind that is not known.
    #[error("{} with the key {}: cannot be used", .cert.display(), .key.display())]
    Unfit {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// What makes TLS of TCP, with HTTP/2 and HTTP/1.1 on offer.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&files.cert)?;
    let key = private_key(&files.key)?;
    let unfit = |source| TlsError::Unfit { cert: files.cert.clone(), key: files.key.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unfit)?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read("--tls-cert", path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|source| malformed(path, source, "certificate"))?;
    match chain.is_empty() {
        true => Err(malformed(path, pem::Error::NoItemsFound, "certificate")),
        false => Ok(chain),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read("--tls-key", path)?)
        .map_err(|source| malformed(path, source, "private key without a password"))
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { flag, path: path.to_owned(), source })
}

fn malformed(path: &Path, source: pem::Error, wanted: &'static str) -> TlsError {
    let path = path.to_owned();
    match source {
        pem::Error::NoItemsFound => TlsError::Missing { path, wanted },
        source => TlsError::Malformed { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a new self-signed certificate and its key.
    fn write_pair(folder: &Path, name: &str) -> TlsFiles {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let files =
            TlsFiles { cert: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) };
        std::fs::write(&files.cert, pair.cert.pem()).expect("a file");
        std::fs::write(&files.key, pair.signing_key.serialize_pem()).expect("a file");
        files
    }

    fn complaint(files: &TlsFiles) -> String {
        let error = acceptor(files).err().expect("an error");
        crate::error::Chain(&error).to_string()
    }

    #[test]
    fn a_pair_is_taken_and_half_of_another_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (write_pair(folder.path(), "one"), write_pair(folder.path(), "other"));
        assert!(acceptor(&one).is_ok());
        let mixed = TlsFiles { cert: one.cert.clone(), key: other.key };
        assert!(complaint(&mixed).contains("one.crt with the key"), "{}", complaint(&mixed));
        let swapped = TlsFiles { cert: one.key, key: one.cert };
        assert!(complaint(&swapped).contains("one.key: holds no certificate"), "{}", complaint(&swapped));
    }

    #[test]
    fn a_bad_file_is_named_and_so_is_what_it_lacks() {
        let folder = tempfile::tempdir().expect("a folder");
        let good = write_pair(folder.path(), "good");
        let bad = folder.path().join("bad.pem");
        let cert_is_bad = TlsFiles { cert: bad.clone(), ..good.clone() };
        let key_is_bad = TlsFiles { key: bad.clone(), ..good.clone() };
        let [cert, key] = [&cert_is_bad, &key_is_bad].map(complaint);
        assert!(cert.starts_with("--tls-cert: ") && cert.contains("bad.pem cannot be read: "), "{cert}");
        assert!(key.starts_with("--tls-key: ") && key.contains("bad.pem cannot be read: "), "{key}");
        for text in ["", "no PEM at all", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&bad, text).expect("a file");
            for files in [&cert_is_bad, &key_is_bad] {
                let complaint = complaint(files);
                assert!(complaint.contains("bad.pem: "), "{text}: {complaint}");
            }
        }
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        std::fs::write(&bad, encrypted).expect("a file");
        assert!(complaint(&key_is_bad).contains("bad.pem: holds no private key without a password"));
    }
}
