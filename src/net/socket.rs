//! TCP: how addresses are bound and dialled, and which options each socket gets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Connections that the kernel holds before they are accepted (Node's default).
const BACKLOG: i32 = 511;

/// How long one attempt to connect may take, for all addresses of the host together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Addresses among which that time is divided. 2.5 s for each are enough even if the first packet is lost.
const MAX_SPLIT: usize = 4;

/// The system starts to probe a silent connection after this time, so that a peer whose machine vanished is noticed.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

/// The time between two probes. The connection ends when several stay unanswered.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Sets the options: small frames are sent at once (1.x loses 40 ms per turn to Nagle's algorithm), and dead peers are noticed.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Host names being resolved at a time. The system's resolver blocks a thread, for many seconds if name servers are silent. The
/// same threads also read logs, so some must stay free.
const LOOKUPS: usize = 4;

/// Binds and dials by name.
pub(super) struct Resolver(Arc<Semaphore>);

impl Resolver {
    pub(super) fn new() -> Resolver {
        Resolver(Arc::new(Semaphore::new(LOOKUPS)))
    }

    /// Binds as Node does. Without a host it is every address of both families, with a name the name's first address.
    ///
    /// # Errors
    /// `Listen` with the address as given, and a reason that says what to do.
    pub(super) async fn bind(&self, host: Option<&str>, port: u16) -> Result<TcpListener> {
        let host = host.filter(|host| !host.is_empty());
        let bound = match host {
            Some(host) => self.first_address(host, port).await.and_then(bind_to),
            None => match bind_to(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)) {
                Err(error) if lacks_ipv6(&error) => bind_to(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)),
                bound => bound,
            },
        };
        bound.map_err(|error| Error::Listen {
            address: target(host.unwrap_or("::"), port),
            reason: listen_reason(&error),
            system: system(&error),
        })
    }

    /// Connects and tunes, trying each address of the host in turn.
    ///
    /// # Errors
    /// `Connect` with the last address's reason.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream> {
        let (reason, system) = match tokio::time::timeout(CONNECT_TIMEOUT, self.connect(host, port)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => (reason(&error), system(&error)),
            Err(_) => {
                let within = CONNECT_TIMEOUT.as_secs();
                let reason =
                    format!("no answer within {within} s (ETIMEDOUT): check the address and firewalls between");
                (reason, Some("ETIMEDOUT"))
            }
        };
        Err(Error::Connect { target: target(host, port), reason, system })
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut failure = no_address();
        let addresses = self.addresses(host, port).await?;
        let patience = CONNECT_TIMEOUT / u32::try_from(addresses.len().clamp(1, MAX_SPLIT)).unwrap_or(1);
        for address in addresses {
            // An address that does not answer must leave time for the next ones.
            let connected = tokio::time::timeout(patience, TcpStream::connect(address)).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    tune(&stream)?;
                    return Ok(stream);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn first_address(&self, host: &str, port: u16) -> io::Result<SocketAddr> {
        self.addresses(host, port).await?.into_iter().next().ok_or_else(no_address)
    }

    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let addresses = (host.as_str(), port).to_socket_addrs();
            // Held until the resolver has answered, even if nobody waits for it any more.
            drop(permit);
            addresses.map(Vec::from_iter)
        });
        lookup.await?.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))
    }
}

fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Allows binding immediately after an earlier process has closed its connections. On Windows the option has another meaning.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(no_such_family())
}

#[cfg(unix)]
fn no_such_family() -> i32 {
    rustix::io::Errno::AFNOSUPPORT.raw_os_error()
}

/// `WSAEAFNOSUPPORT`.
#[cfg(not(unix))]
fn no_such_family() -> i32 {
    10047
}

/// `host:port` as text, the key of an outbound link (1.x's `_peers` uses the same, also for IPv6).
pub(super) fn target(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

fn listen_reason(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "choose another port, 0 for any, or stop its owner",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; omit the host to bind all",
        io::ErrorKind::PermissionDenied => "ports below 1024 often need privileges",
        _ => return reason(error),
    };
    format!("{}: {advice}", reason(error))
}

/// The system's name of an error, as Node's users know it.
pub(super) fn system(error: &io::Error) -> Option<&'static str> {
    Some(match error.kind() {
        io::ErrorKind::AddrInUse => "EADDRINUSE",
        io::ErrorKind::AddrNotAvailable => "EADDRNOTAVAIL",
        io::ErrorKind::PermissionDenied => "EACCES",
        io::ErrorKind::NotFound => "ENOTFOUND",
        io::ErrorKind::ConnectionRefused => "ECONNREFUSED",
        io::ErrorKind::ConnectionReset => "ECONNRESET",
        io::ErrorKind::ConnectionAborted => "ECONNABORTED",
        io::ErrorKind::BrokenPipe => "EPIPE",
        io::ErrorKind::TimedOut => "ETIMEDOUT",
        io::ErrorKind::HostUnreachable => "EHOSTUNREACH",
        io::ErrorKind::NetworkUnreachable => "ENETUNREACH",
        io::ErrorKind::OutOfMemory => "ENOMEM",
        _ => return lack(error),
    })
}

/// The name of an error that means that this machine lacks file descriptors or buffers for now.
#[cfg(unix)]
fn lack(error: &io::Error) -> Option<&'static str> {
    use rustix::io::Errno;
    let number = error.raw_os_error()?;
    let names = [(Errno::MFILE, "EMFILE"), (Errno::NFILE, "ENFILE"), (Errno::NOBUFS, "ENOBUFS")];
    names.into_iter().find(|(errno, _)| errno.raw_os_error() == number).map(|(_, name)| name)
}

/// The same on Windows, which has its own numbers: `WSAEMFILE`, `WSAENOBUFS`.
#[cfg(not(unix))]
fn lack(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        10024 => Some("EMFILE"),
        10055 => Some("ENOBUFS"),
        _ => None,
    }
}

/// An error in words, with the system's name.
pub(super) fn reason(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use",
        io::ErrorKind::AddrNotAvailable => "the address is not available",
        io::ErrorKind::PermissionDenied => "not permitted",
        io::ErrorKind::NotFound => return format!("the host name does not resolve (ENOTFOUND): {error}"),
        io::ErrorKind::ConnectionRefused => "nothing listens there",
        io::ErrorKind::ConnectionReset => "the peer cut the connection",
        io::ErrorKind::ConnectionAborted => "the connection was cut",
        io::ErrorKind::BrokenPipe => "the peer is gone",
        io::ErrorKind::TimedOut => "no answer",
        io::ErrorKind::HostUnreachable => "the host cannot be reached",
        io::ErrorKind::NetworkUnreachable => "the network cannot be reached",
        _ => match system(error) {
            Some("EMFILE") => "this process has no file descriptor left",
            Some("ENFILE") => "this machine has no file descriptor left",
            _ => return error.to_string(),
        },
    };
    match system(error) {
        Some(name) => format!("{text} ({name})"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_runtime<T>(work: impl std::future::Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn without_a_host_both_families_are_served_as_in_node() {
        on_runtime(async {
            let listener = Resolver::new().bind(None, 0).await.unwrap();
            let address = listener.local_addr().unwrap();
            assert!(address.ip().is_unspecified());
            Resolver::new().dial("127.0.0.1", address.port()).await.unwrap();
            if address.is_ipv6() {
                Resolver::new().dial("::1", address.port()).await.unwrap();
            }
        });
    }

    #[test]
    fn a_name_is_resolved_for_listening_and_dialling() {
        on_runtime(async {
            let port = Resolver::new().bind(Some("localhost"), 0).await.unwrap().local_addr().unwrap().port();
            assert!(port > 0);
            let listener = Resolver::new().bind(Some("127.0.0.1"), 0).await.unwrap();
            let stream = Resolver::new().dial("localhost", listener.local_addr().unwrap().port()).await.unwrap();
            assert!(stream.nodelay().unwrap());
        });
    }

    #[test]
    fn a_taken_port_is_named_with_its_address() {
        on_runtime(async {
            let first = Resolver::new().bind(Some("127.0.0.1"), 0).await.unwrap();
            let port = first.local_addr().unwrap().port();
            let error = Resolver::new().bind(Some("127.0.0.1"), port).await.unwrap_err();
            assert_eq!(error.code(), "ERR_HYPER_LISTEN");
            let text = error.to_string();
            assert!(text.contains(&format!("127.0.0.1:{port}")) && text.contains("EADDRINUSE"), "{text}");
        });
    }

    #[test]
    fn a_foreign_address_and_a_bad_name_are_told_apart() {
        on_runtime(async {
            // TEST-NET-1: documentation only, never assigned to a machine.
            let text = Resolver::new().bind(Some("192.0.2.1"), 0).await.unwrap_err().to_string();
            assert!(text.contains("EADDRNOTAVAIL"), "{text}");
            let text = Resolver::new().bind(Some("no such host"), 0).await.unwrap_err().to_string();
            assert!(text.contains("ENOTFOUND") && text.contains("no such host"), "{text}");
        });
    }

    #[test]
    fn a_refused_connection_says_so() {
        on_runtime(async {
            let port = Resolver::new().bind(Some("127.0.0.1"), 0).await.unwrap().local_addr().unwrap().port();
            let error = Resolver::new().dial("127.0.0.1", port).await.unwrap_err();
            assert_eq!(error.code(), "ERR_HYPER_CONNECT");
            assert!(error.to_string().contains("ECONNREFUSED"), "{error}");
        });
    }
}
