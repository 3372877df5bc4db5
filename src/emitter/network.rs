//! The emitter's calls to the network.

use std::net::SocketAddr;
use std::sync::Arc;

use super::opening::Call;
use super::{Emitter, Notice};
use crate::hyperlog::trust::TrustPolicy;
use crate::identity::PublicKey;
use crate::net::pipe::{pipe, Carrier, PipeNews};
use crate::net::rights::{Peers, Plain, Right};
use crate::net::{Carried, Dial, Net, PeerInfo, Refusals, Security};
use crate::schema::ToldSchema;
use crate::store::Meta;

/// What happened to a stream that JavaScript carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamNews {
    /// Bytes can be read or written.
    Pipe(PipeNews),
    /// The link that it serves has this key.
    Link(String),
}

/// What a stream is for.
#[derive(Clone, Debug)]
pub enum Use {
    /// It was asked for by [`NetEvent::Dial`](crate::net::NetEvent::Dial) with this number.
    Dial(u64),
    /// A link of its own, which is not dialled again.
    Link {
        /// Our side is the one that dialled.
        dialled: bool,
        /// The key that the peer has to prove; `None` if any peer will do.
        key: Option<PublicKey>,
    },
}

/// What JavaScript knows about a stream.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Our address and the peer's, if the stream has addresses.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// What protects the stream and what the peer may do, if JavaScript has authenticated the peer.
    pub vouched: Option<(Security, Right)>,
}

impl Emitter {
    /// Dials a peer and keeps the link up. [`Notice::Net`] reports its events, of which `GaveUp` is the last. If there already is a
    /// link with this key, it is kept. Allowed before the store is open.
    pub fn connect(self: &Arc<Self>, host: String, port: u16, dial: Dial) {
        match self.net.get() {
            Some(net) => {
                net.dial(host, port, dial);
            }
            None => self.call(Call::Connect { host, port, dial }),
        }
    }

    /// Calls the network, now or once the store is open.
    fn with_net(self: &Arc<Self>, call: impl FnOnce(&Net) + Send + 'static) {
        match self.net.get() {
            Some(net) => call(net),
            None => self.call(Call::Net(Box::new(call))),
        }
    }

    /// Sets which peers may connect. Allowed before the store is open.
    pub fn set_peers(self: &Arc<Self>, peers: Peers) {
        self.with_net(|net| net.set_peers(peers));
    }

    /// Sets the schema that peers of new links are told. Allowed before the store is open.
    pub fn set_schema(self: &Arc<Self>, schema: Option<Arc<ToldSchema>>) {
        self.with_net(|net| net.set_schema(schema));
    }

    /// Sets which plain links are accepted. Allowed before the store is open.
    pub fn set_plain(self: &Arc<Self>, plain: Option<Plain>) {
        self.with_net(|net| net.set_plain(plain));
    }

    /// Answers [`NetEvent::Admit`](crate::net::NetEvent::Admit).
    pub fn admit(&self, question: u64, right: Option<Right>) {
        if let Some(net) = self.net.get() {
            net.admit(question, right);
        }
    }

    /// Answers [`NetEvent::Dial`](crate::net::NetEvent::Dial): there is no connection.
    pub fn dial_failed(&self, question: u64, error: crate::error::Error) {
        if let Some(net) = self.net.get() {
            net.dialled(question, Err(error));
        }
    }

    /// Takes a stream that JavaScript carries. JavaScript passes bytes through the [`Carrier`] that is
    /// returned; [`Notice::Stream`] says when. Allowed before the store is open.
    pub fn open_stream(self: &Arc<Self>, id: u32, origin: Origin, purpose: Use) -> Carrier {
        let emitter = Arc::downgrade(self);
        let tell = move |news| {
            if let Some(emitter) = emitter.upgrade() {
                emitter.outbox.notify(Notice::Stream { id, news });
            }
        };
        let told = tell.clone();
        let (pipe, carrier) = pipe(move |news| told(StreamNews::Pipe(news)));
        let carried = Carried { pipe, ends: origin.ends, vouched: origin.vouched };
        self.with_net(move |net| match purpose {
            Use::Dial(question) => net.dialled(question, Ok(carried)),
            Use::Link { dialled, key } => {
                if let Some(link) = net.handle(carried, dialled, key) {
                    tell(StreamNews::Link(link));
                }
            }
        });
        carrier
    }

    /// Ends the connection of a link abruptly, as a failure would. One that we dialled is redialled.
    pub fn drop_link(&self, key: &str) {
        if let Some(net) = self.net.get() {
            net.drop_link(key);
        }
    }

    /// Ends a link because its peer has lost the right that JavaScript had vouched for.
    pub fn revoke(&self, key: &str) {
        if let Some(net) = self.net.get() {
            net.revoke(key);
        }
    }

    /// Sets whose logs are stored.
    pub fn set_trust(&self, policy: TrustPolicy) {
        // Opening the log reads this again under the same lock.
        let mut early = self.policy.lock();
        match self.log.get() {
            Some(log) => log.set_trust(policy),
            None => *early = Some(policy),
        }
    }

    /// The public key by which peers know this emitter.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        self.options.net.trust.identity.as_ref().map(|key| key.public())
    }

    /// Every link.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.net.get().map(Net::peers).unwrap_or_default()
    }

    /// How often peers were refused.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.net.get().map(Net::refusals).unwrap_or_default()
    }

    /// The network that the store belongs to, once it is open.
    #[must_use]
    pub fn network(&self) -> Option<String> {
        match (self.net.get(), self.log.get()) {
            (Some(net), _) => net.network(),
            (None, Some(log)) => {
                let name = log.meta(&Meta::Network).ok().flatten();
                name.map(|name| String::from_utf8_lossy(&name).into_owned())
            }
            (None, None) => None,
        }
    }
}
