//! The errors of the system.

use super::*;

fn numbered(number: i32) -> impl Fn() -> BoxError + Send + Sync + 'static {
    move || io::Error::from_raw_os_error(number).into()
}

/// The connection stands, and then fails with this.
async fn established(number: i32) -> Failed {
    let address = says(b"").await;
    let broken = futures_util::stream::iter([Err::<http_body::Frame<Bytes>, _>(
        io::Error::from_raw_os_error(number),
    )]);
    let body = reqwest::Body::wrap(http_body_util::StreamBody::new(broken));
    let request = client().build().unwrap().post(format!("http://{address}"));
    let error = request.body(body).send().await.unwrap_err();
    assert!(!error.is_connect());
    Failed::of(error, false)
}

#[cfg(unix)]
#[tokio::test]
async fn each_error_of_the_system_has_its_cause_and_its_fix() {
    use Trouble::{
        Closed, ConnectTimeout, Files, FilesOfAll, Forbidden, Memory, Network, NoRoute, Ports,
        Refused, Timeout, Tls,
    };
    let connects = [
        (
            "EMFILE",
            libc::EMFILE,
            Files,
            "this process may open no more files",
            "ulimit -n",
        ),
        (
            "ENFILE",
            libc::ENFILE,
            FilesOfAll,
            "this machine may open no more",
            "fs.file-max",
        ),
        (
            "ENOBUFS",
            libc::ENOBUFS,
            Memory,
            "no memory left",
            "free memory",
        ),
        (
            "ENOMEM",
            libc::ENOMEM,
            Memory,
            "no memory left",
            "MemoryMax=",
        ),
        (
            "EADDRNOTAVAIL",
            libc::EADDRNOTAVAIL,
            Ports,
            "no local address or port",
            "ip_local_port_range",
        ),
        (
            "EADDRINUSE",
            libc::EADDRINUSE,
            Ports,
            "no local address or port",
            "ss -s",
        ),
        (
            "EAGAIN",
            libc::EAGAIN,
            Ports,
            "no local address or port",
            "ss -s",
        ),
        (
            "ENETUNREACH",
            libc::ENETUNREACH,
            NoRoute,
            "no way leads",
            "a network and a route",
        ),
        (
            "EHOSTUNREACH",
            libc::EHOSTUNREACH,
            NoRoute,
            "no way leads",
            "ip route get",
        ),
        (
            "ENETDOWN",
            libc::ENETDOWN,
            NoRoute,
            "no way leads",
            "HTTPS_PROXY",
        ),
        (
            "EHOSTDOWN",
            libc::EHOSTDOWN,
            NoRoute,
            "no way leads",
            "AXIOM_URL",
        ),
        (
            "EAFNOSUPPORT",
            libc::EAFNOSUPPORT,
            NoRoute,
            "no way leads",
            "IPv6",
        ),
        (
            "EACCES",
            libc::EACCES,
            Forbidden,
            "does not let this program connect",
            "SELinux",
        ),
        (
            "EPERM",
            libc::EPERM,
            Forbidden,
            "does not let this program connect",
            "firewall",
        ),
        (
            "ECONNREFUSED",
            libc::ECONNREFUSED,
            Refused,
            "the connection was refused",
            "something listens there",
        ),
        (
            "ETIMEDOUT",
            libc::ETIMEDOUT,
            ConnectTimeout,
            "can not be reached",
            "security group",
        ),
        (
            "EINVAL",
            libc::EINVAL,
            Network,
            "can not be reached",
            "this machine's network",
        ),
    ];
    for scheme in ["http", "https"] {
        for (name, number, trouble, what, fix) in connects {
            let failed = connecting(scheme, false, numbered(number)).await;
            failed.assert(name, trouble, what, fix);
            assert!(failed.words().what.contains("os error"), "{name}");
        }
        let (trouble, what, fix) = match scheme {
            "https" => (Tls, "no TLS with", "a firewall"),
            _ => (Closed, "ended the connection", "a firewall"),
        };
        for (name, number) in [
            ("ECONNRESET", libc::ECONNRESET),
            ("ECONNABORTED", libc::ECONNABORTED),
            ("EPIPE", libc::EPIPE),
        ] {
            let failed = connecting(scheme, false, numbered(number)).await;
            failed.assert(name, trouble, what, fix);
        }
    }
    for (name, number, trouble, what, fix) in [
        (
            "ECONNRESET",
            libc::ECONNRESET,
            Closed,
            "ended the connection",
            "nothing to do unless",
        ),
        (
            "EPIPE",
            libc::EPIPE,
            Closed,
            "ended the connection",
            "nothing to do unless",
        ),
        (
            "ECONNABORTED",
            libc::ECONNABORTED,
            Closed,
            "ended the connection",
            "a firewall",
        ),
        (
            "ETIMEDOUT",
            libc::ETIMEDOUT,
            Timeout,
            "os error",
            "swallows requests",
        ),
        (
            "ENETUNREACH",
            libc::ENETUNREACH,
            NoRoute,
            "no way leads",
            "a route",
        ),
        (
            "EHOSTUNREACH",
            libc::EHOSTUNREACH,
            NoRoute,
            "no way leads",
            "a route",
        ),
        (
            "ENOBUFS",
            libc::ENOBUFS,
            Memory,
            "no memory left",
            "tcp_mem",
        ),
        ("ENOMEM", libc::ENOMEM, Memory, "no memory left", "tcp_mem"),
    ] {
        let failed = established(number).await;
        failed.assert(&format!("{name} later"), trouble, what, fix);
    }
}

/// What the machine has used up is no fault of the proxy's; everything else on the way to it is.
#[cfg(unix)]
#[tokio::test]
async fn a_proxy_is_not_blamed_for_what_this_machine_has_used_up() {
    for (number, trouble, fix) in [
        (libc::EMFILE, Trouble::Files, "ulimit -n"),
        (libc::EADDRNOTAVAIL, Trouble::Ports, "ip_local_port_range"),
        (libc::ECONNREFUSED, Trouble::Proxy, "correct HTTPS_PROXY"),
        (libc::EHOSTUNREACH, Trouble::Proxy, "correct HTTPS_PROXY"),
    ] {
        let failed = connecting("https", true, numbered(number)).await;
        failed.assert("by a proxy", trouble, "", fix);
    }
}

#[cfg(unix)]
#[test]
fn each_error_of_a_thread_that_can_not_start_has_its_cause_and_its_fix() {
    for (number, what, fix) in [
        (
            libc::EAGAIN,
            "may start no more threads: ",
            "ulimit -u, TasksMax=",
        ),
        (libc::EMFILE, "may open no more files", "ulimit -n"),
        (libc::ENFILE, "may open no more files", "fs.file-max"),
        (libc::ENOMEM, "no memory left", "free memory"),
        (libc::EPERM, "can not be started: ", "seccomp"),
    ] {
        let error = io::Error::from_raw_os_error(number);
        let words = Words::of_system("the worker can not be started".to_owned(), &error);
        println!("{}; {}", words.what, words.fix);
        assert!(words.what.contains(what), "{words:?}");
        assert!(words.what.contains(&error.to_string()), "{words:?}");
        assert!(words.fix.contains(fix), "{words:?}");
    }
}
