//! TLS: by the types of rustls where that is used, else by the words of the system's library.

use std::error::Error;

use super::Trouble;

#[cfg(feature = "rustls")]
pub(super) fn trouble(error: &(dyn Error + 'static)) -> Option<Trouble> {
    use rustls::{CertificateError as Certificate, Error as Tls};

    // Before it asks for its address, TLS looks whether a host can have that name.
    if error.is::<rustls::pki_types::InvalidDnsNameError>() {
        return Some(Trouble::Name);
    }
    let trouble = match error.downcast_ref()? {
        Tls::InvalidMessage(_) => Trouble::NotTls,
        Tls::InvalidCertificate(certificate) => match certificate {
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => Trouble::Expired,
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                Trouble::WrongName
            }
            Certificate::Revoked => Trouble::Revoked,
            _ => Trouble::Untrusted,
        },
        Tls::NoCertificatesPresented => Trouble::Untrusted,
        Tls::NoApplicationProtocol => Trouble::OtherProtocol,
        Tls::PeerIncompatible(_) => Trouble::NoCommonTls,
        Tls::PeerMisbehaved(_)
        | Tls::InappropriateMessage { .. }
        | Tls::InappropriateHandshakeMessage { .. }
        | Tls::DecryptError
        | Tls::PeerSentOversizedRecord => Trouble::TlsBroken,
        Tls::AlertReceived(alert) => of_alert(*alert),
        _ => Trouble::Tls,
    };
    Some(trouble)
}

/// What the other side complained of (RFC 8446, section 6.2).
#[cfg(feature = "rustls")]
fn of_alert(alert: rustls::AlertDescription) -> Trouble {
    use rustls::AlertDescription as Alert;

    match alert {
        Alert::HandshakeFailure
        | Alert::InsufficientSecurity
        | Alert::ProtocolVersion
        | Alert::InappropriateFallback
        | Alert::UnsupportedExtension
        | Alert::MissingExtension => Trouble::NoCommonTls,
        Alert::UnrecognisedName => Trouble::UnknownName,
        Alert::NoApplicationProtocol => Trouble::OtherProtocol,
        // Of the certificate that this side sends, which is none.
        Alert::NoCertificate
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::CertificateRequired => Trouble::ClientCertificate,
        Alert::CloseNotify | Alert::UserCanceled => Trouble::Tls,
        _ => Trouble::TlsBroken,
    }
}

#[cfg(not(feature = "rustls"))]
pub(super) fn trouble(error: &(dyn Error + 'static)) -> Option<Trouble> {
    of_words(&error.to_string())
}

/// The systems' libraries have no types in common, only words; these are OpenSSL's.
#[cfg(any(test, not(feature = "rustls")))]
pub(super) fn of_words(said: &str) -> Option<Trouble> {
    let said = said.to_lowercase();
    let holds = |words: &[&str]| words.iter().any(|word| said.contains(word));
    // An alert comes from the other side, and may speak of a certificate too: that of this side.
    if holds(&[
        "alert handshake failure",
        "alert protocol version",
        "alert insufficient security",
        "alert inappropriate fallback",
        "unsupported protocol",
        "no protocols available",
        "wrong ssl version",
        "unsupported extension",
        "missing extension",
    ]) {
        Some(Trouble::NoCommonTls)
    } else if holds(&["unrecognized name"]) {
        Some(Trouble::UnknownName)
    } else if holds(&["no application protocol"]) {
        Some(Trouble::OtherProtocol)
    } else if holds(&[
        "alert certificate",
        "alert bad certificate",
        "alert unsupported certificate",
        "alert no certificate",
        "alert unknown ca",
        "alert access denied",
    ]) {
        Some(Trouble::ClientCertificate)
    } else if holds(&[
        "alert internal error",
        "alert decode error",
        "alert decrypt error",
        "alert bad record mac",
        "alert record overflow",
        "alert unexpected message",
        "alert illegal parameter",
    ]) {
        Some(Trouble::TlsBroken)
    } else if holds(&["has expired", "not yet valid"]) {
        Some(Trouble::Expired)
    } else if holds(&["hostname mismatch", "ip address mismatch"]) {
        Some(Trouble::WrongName)
    } else if holds(&["certificate revoked"]) {
        Some(Trouble::Revoked)
    } else if holds(&["certificate"]) {
        Some(Trouble::Untrusted)
    } else if holds(&[
        "wrong version",
        "packet length too long",
        "unknown protocol",
    ]) {
        Some(Trouble::NotTls)
    } else if holds(&["ssl routines", "unexpected eof"]) {
        Some(Trouble::Tls)
    } else {
        None
    }
}
