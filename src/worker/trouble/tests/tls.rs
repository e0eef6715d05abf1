//! What stops TLS: alerts, rustls' errors, and OpenSSL's words.

use super::*;

/// An alert in answer to the client's first message: TLS parses it, whichever library that is (RFC 8446, appendix B.2).
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[tokio::test]
async fn each_tls_alert_has_its_cause_and_its_fix() {
    use Trouble::{ClientCertificate, NoCommonTls, OtherProtocol, Tls, TlsBroken, UnknownName};
    let certificate = (
        ClientCertificate,
        "wants a certificate of this program",
        "without a client certificate",
    );
    let version = (
        NoCommonTls,
        "no kind of TLS in common",
        "offer TLS 1.2 or 1.3",
    );
    let broken = (TlsBroken, "broke off", "see the log of the endpoint");
    for (name, number, (trouble, what, fix)) in [
        ("handshake_failure", 40, version),
        ("protocol_version", 70, version),
        ("insufficient_security", 71, version),
        (
            "unrecognized_name",
            112,
            (
                UnknownName,
                "is not served",
                "correct the host in the address",
            ),
        ),
        (
            "no_application_protocol",
            120,
            (
                OtherProtocol,
                "neither HTTP/2 nor HTTP/1.1",
                "another service answers there",
            ),
        ),
        ("bad_certificate", 42, certificate),
        ("unsupported_certificate", 43, certificate),
        ("certificate_revoked", 44, certificate),
        ("certificate_expired", 45, certificate),
        ("certificate_unknown", 46, certificate),
        ("unknown_ca", 48, certificate),
        ("access_denied", 49, certificate),
        ("certificate_required", 116, certificate),
        ("unexpected_message", 10, broken),
        ("bad_record_mac", 20, broken),
        ("record_overflow", 22, broken),
        ("illegal_parameter", 47, broken),
        ("decode_error", 50, broken),
        ("decrypt_error", 51, broken),
        ("internal_error", 80, broken),
        ("unknown_psk_identity", 115, broken),
        (
            "hangs up",
            0,
            (Tls, "no TLS with", "check that this port speaks TLS"),
        ),
    ] {
        let address = peer(move |mut stream| async move {
            let mut hello = [0; 8192];
            assert!(stream.read(&mut hello).await.unwrap() > 0);
            if number > 0 {
                let alert = [0x15, 3, 3, 0, 2, 2, number];
                stream.write_all(&alert).await.unwrap();
            }
        })
        .await;
        let url = format!("https://{address}/");
        if cfg!(not(feature = "rustls")) && number == 115 {
            // OpenSSL has no word for it.
            continue;
        }
        get(client(), &url).await.assert(name, trouble, what, fix);
    }
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn each_error_of_rustls_has_its_cause_and_its_fix() {
    use rustls::{CertificateError as Certificate, Error as Tls};
    use rustls::{InvalidMessage, PeerIncompatible, PeerMisbehaved};
    type Make = fn() -> Tls;
    let untrusted = (Trouble::Untrusted, "is not trusted", "SSL_CERT_FILE");
    let expired = (
        Trouble::Expired,
        "not valid at this time",
        "set this machine's clock",
    );
    let name = (
        Trouble::WrongName,
        "is not that of",
        "correct the host in the address",
    );
    let version = (
        Trouble::NoCommonTls,
        "no kind of TLS in common",
        "offer TLS 1.2 or 1.3",
    );
    let broken = (
        Trouble::TlsBroken,
        "broke off",
        "see the log of the endpoint",
    );
    let plain = (Trouble::NotTls, "does not speak TLS", "write http://");
    let other = (Trouble::Tls, "no TLS with", "a firewall");
    let table: [(Make, (Trouble, &str, &str)); 20] = [
        (
            || Tls::InvalidCertificate(Certificate::UnknownIssuer),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::BadSignature),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::BadEncoding),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::InvalidPurpose),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::UnknownRevocationStatus),
            untrusted,
        ),
        (
            || Tls::InvalidCertificate(Certificate::ApplicationVerificationFailure),
            untrusted,
        ),
        (|| Tls::NoCertificatesPresented, untrusted),
        (|| Tls::InvalidCertificate(Certificate::Expired), expired),
        (
            || Tls::InvalidCertificate(Certificate::NotValidYet),
            expired,
        ),
        (
            || Tls::InvalidCertificate(Certificate::NotValidForName),
            name,
        ),
        (
            || Tls::InvalidCertificate(Certificate::Revoked),
            (Trouble::Revoked, "was revoked", "needs a new certificate"),
        ),
        (
            || Tls::InvalidMessage(InvalidMessage::InvalidContentType),
            plain,
        ),
        (
            || Tls::NoApplicationProtocol,
            (Trouble::OtherProtocol, "neither HTTP/2", "(ALPN)"),
        ),
        (
            || Tls::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
            version,
        ),
        (
            || Tls::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite),
            broken,
        ),
        (|| Tls::DecryptError, broken),
        (|| Tls::PeerSentOversizedRecord, broken),
        (|| Tls::EncryptError, other),
        (|| Tls::FailedToGetRandomBytes, other),
        (|| Tls::General("for a reason".into()), other),
    ];
    for (make, (trouble, what, fix)) in table {
        // As tokio-rustls passes it on.
        let wrapped = move || io::Error::new(io::ErrorKind::InvalidData, make()).into();
        let failed = connecting("https", false, wrapped).await;
        failed.assert(&format!("{:?}", make()), trouble, what, fix);
    }
}

/// Under native-tls there are words alone, as OpenSSL 1.1 and 3 write them.
#[test]
fn the_words_of_openssl_mean_the_same() {
    use Trouble::{
        ClientCertificate, Expired, NoCommonTls, NotTls, OtherProtocol, Revoked, Tls, TlsBroken,
        UnknownName, Untrusted, WrongName,
    };
    for (words, trouble) in [
        ("sslv3 alert handshake failure", NoCommonTls),
        ("ssl/tls alert handshake failure", NoCommonTls),
        ("tlsv1 alert protocol version", NoCommonTls),
        ("tlsv1 alert insufficient security", NoCommonTls),
        ("unsupported protocol", NoCommonTls),
        ("tlsv1 unrecognized name", UnknownName),
        ("tlsv1 alert no application protocol", OtherProtocol),
        ("sslv3 alert bad certificate", ClientCertificate),
        ("sslv3 alert unsupported certificate", ClientCertificate),
        ("sslv3 alert certificate revoked", ClientCertificate),
        ("sslv3 alert certificate expired", ClientCertificate),
        ("sslv3 alert certificate unknown", ClientCertificate),
        ("tlsv1 alert unknown ca", ClientCertificate),
        ("tlsv1 alert access denied", ClientCertificate),
        ("tlsv13 alert certificate required", ClientCertificate),
        ("sslv3 alert unexpected message", TlsBroken),
        ("sslv3 alert bad record mac", TlsBroken),
        ("tlsv1 alert record overflow", TlsBroken),
        ("sslv3 alert illegal parameter", TlsBroken),
        ("tlsv1 alert decode error", TlsBroken),
        ("tlsv1 alert decrypt error", TlsBroken),
        ("tlsv1 alert internal error", TlsBroken),
        ("wrong version number", NotTls),
        ("packet length too long", NotTls),
        (
            "certificate verify failed: (unable to get local issuer certificate)",
            Untrusted,
        ),
        (
            "certificate verify failed: (certificate has expired)",
            Expired,
        ),
        (
            "certificate verify failed: (certificate is not yet valid)",
            Expired,
        ),
        ("certificate verify failed: (hostname mismatch)", WrongName),
        (
            "certificate verify failed: (IP address mismatch)",
            WrongName,
        ),
        ("certificate verify failed: (certificate revoked)", Revoked),
        ("unexpected eof while reading", Tls),
    ] {
        let line =
            format!("error:0A000410:SSL routines:ssl3_read_bytes:{words}:rec_layer_s3.c:1605:");
        assert_eq!(
            crate::worker::trouble::tls::of_words(&line),
            Some(trouble),
            "{words}"
        );
    }
    assert_eq!(
        crate::worker::trouble::tls::of_words("connection refused"),
        None
    );
}
