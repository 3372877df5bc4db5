//! The scenario of a seed: peers, links, events and faults.

use hyperemitter::protocol::config::{Defences, Sizes};

use super::foe::Deed;
use super::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Old,
    New,
    /// Sends nonsense to its peers.
    Hostile,
}

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The link breaks; whoever dialled redials.
    Cut(usize),
    /// The link cannot be established for this many milliseconds.
    Partition(usize, u64),
    /// The process is gone for this many milliseconds.
    Restart(usize, u64),
    /// A 1.x process does nothing for this many milliseconds.
    Stall(usize, u64),
}

#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub kinds: Vec<Kind>,
    /// (dialler, listener, delays in milliseconds)
    pub links: Vec<(usize, usize, (u64, u64))>,
    /// (milliseconds, peer, value); at 0 before any link.
    pub emits: Vec<(u64, usize, Vec<u8>)>,
    pub faults: Vec<(u64, Fault)>,
    /// When links are first dialled.
    pub dials: Vec<u64>,
    /// Frames from 1.x that arrive twice, in a hundred.
    pub duplicates: u64,
    /// Peers of ours emit as users do: keys are no longer the seed's.
    pub as_users: bool,
    /// What hostile members do; `None` for sending nonsense.
    pub deed: Option<Deed>,
    /// Peers of ours know when two links lead to the same one.
    pub twins: bool,
    /// Peers of ours whose logs are sealed.
    pub sealed: Vec<usize>,
    /// Peers of ours take logs without seals, too.
    pub unsigned: bool,
    /// 1.x peers pass signatures on.
    pub relays_seals: bool,
    /// Until when, if not for as long as the network is disturbed and some time after.
    pub deeds_until: Option<u64>,
    pub defences: Defences,
    /// Peers of ours that speak the extension's first version.
    pub first: Vec<usize>,
    pub sizes: Sizes,
    /// When disturbances end, if not after the last emit or fault.
    pub calm: Option<u64>,
    /// How long after the last emit or fault everything must be level, in milliseconds.
    pub deadline: u64,
}

/// When those who forge what others have not written yet give up: after the last of the random events and faults.
const FORGED_UNTIL: u64 = 15_000;

/// An event container as 1.x writes it.
pub fn event(text: &str) -> Vec<u8> {
    let mut out = b"\x0a\x01e\x12".to_vec();
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
    out
}

impl Setup {
    pub fn quiet(seed: u64, kinds: Vec<Kind>, links: Vec<(usize, usize)>) -> Self {
        let links: Vec<_> = links.into_iter().map(|(dialler, listener)| (dialler, listener, (1, 5))).collect();
        Setup {
            seed,
            dials: vec![0; links.len()],
            kinds,
            links,
            emits: Vec::new(),
            faults: Vec::new(),
            duplicates: 0,
            as_users: false,
            deed: None,
            twins: false,
            sealed: Vec::new(),
            unsigned: true,
            relays_seals: true,
            deeds_until: None,
            defences: Defences::default(),
            first: Vec::new(),
            sizes: Sizes::default(),
            calm: None,
            deadline: 300_000,
        }
    }

    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let most = if rng.chance(70) { 5 } else { 12 };
        let count = rng.range(2, most) as usize;
        let old = *rng.pick(&[0, 30, 50, 50, 70]);
        let mut kinds: Vec<Kind> = (0..count).map(|_| if rng.chance(old) { Kind::Old } else { Kind::New }).collect();
        if kinds.iter().all(|kind| *kind == Kind::Old) {
            kinds[0] = Kind::New;
        }
        let mut links = topology(&mut rng, count);
        if rng.chance(15) {
            let victims: Vec<usize> = (0..count).filter(|peer| kinds[*peer] == Kind::New).collect();
            kinds.push(Kind::Hostile);
            links.push((count, *rng.pick(&victims)));
        }
        let links: Vec<_> = links
            .into_iter()
            .map(|(dialler, listener)| {
                let low = rng.below(30);
                (dialler, listener, (low, low + rng.below(80)))
            })
            .collect();
        let mut setup = Setup::quiet(seed, kinds, Vec::new());
        setup.dials = links.iter().map(|_| if rng.chance(50) { rng.below(20) } else { rng.below(5_000) }).collect();
        setup.links = links;
        setup.duplicates = if rng.chance(30) { 10 } else { 0 };
        setup.random_emits(&mut rng, count);
        setup.random_faults(&mut rng, count);
        if rng.chance(40) {
            setup.first = (0..count).filter(|_| rng.chance(30)).collect();
        }
        if rng.chance(70) {
            // As if there were very many logs.
            setup.sizes = Sizes { list: rng.below(3), starts: 1, states: 1, table: 2, ..Sizes::default() };
        }
        setup
    }

    /// A random network with a hostile member, in which every peer of ours has written before.
    pub fn with_foe(seed: u64, deed: Deed) -> Self {
        let mut setup = Setup::random(seed);
        if matches!(deed, Deed::Forge | Deed::ForgeOthers) {
            // 1.x, and our extension's first version, cannot tell two versions of a log apart.
            setup.kinds.iter_mut().filter(|kind| **kind == Kind::Old).for_each(|kind| *kind = Kind::New);
            setup.first.clear();
            // An emitter that has just been opened takes the tail of its log from anybody.
            setup.faults.retain(|(_, fault)| !matches!(fault, Fault::Restart(..)));
        }
        setup.add_foe(deed);
        setup
    }

    /// A random network with a stranger that forges the logs of others, beside peers of 1.x, some of our extension's first version,
    /// and restarts.
    pub fn with_forger_among_others(seed: u64) -> Self {
        let mut setup = Setup::random(seed);
        setup.add_foe(Deed::ForgeOthers);
        setup
    }

    fn add_foe(&mut self, deed: Deed) {
        let mut rng = Rng::new(self.seed ^ 0x0f0e);
        if !self.kinds.contains(&Kind::Hostile) {
            let ours: Vec<usize> = (0..self.kinds.len()).filter(|peer| self.kinds[*peer] == Kind::New).collect();
            self.links.push((self.kinds.len(), *rng.pick(&ours), (1, 20)));
            self.dials.push(rng.below(3_000));
            self.kinds.push(Kind::Hostile);
        }
        for peer in (0..self.kinds.len()).filter(|peer| self.kinds[*peer] == Kind::New) {
            self.emits.insert(0, (0, peer, event(&format!("first of {peer}"))));
        }
        self.as_users = true;
        self.deed = Some(deed);
        if deed == Deed::ForgeOthers {
            // Whose next entry was made up somewhere learns of that with the next event of its own.
            self.deeds_until = Some(FORGED_UNTIL);
            for peer in (0..self.kinds.len()).filter(|peer| self.kinds[*peer] == Kind::New) {
                self.emits.push((FORGED_UNTIL + 3_000, peer, event(&format!("last of {peer}"))));
            }
        }
    }

    /// A random network in which some of ours seal their logs.
    pub fn with_seals(seed: u64) -> Self {
        let mut setup = Setup::random(seed);
        let mut rng = Rng::new(seed ^ 0x5ea1);
        setup.as_users = true;
        setup.sealed = (0..setup.kinds.len()).filter(|_| rng.chance(60)).collect();
        setup
    }

    /// A random network of ours in which all logs are sealed, with a hostile member.
    pub fn with_seals_and_foe(seed: u64, deed: Deed) -> Self {
        let mut setup = Setup::random(seed);
        setup.kinds.iter_mut().filter(|kind| **kind == Kind::Old).for_each(|kind| *kind = Kind::New);
        let mut rng = Rng::new(seed ^ 0x5ea2);
        if !setup.kinds.contains(&Kind::Hostile) {
            setup.links.push((setup.kinds.len(), rng.below(setup.kinds.len() as u64) as usize, (1, 20)));
            setup.dials.push(rng.below(3_000));
            setup.kinds.push(Kind::Hostile);
        }
        setup.sealed = (0..setup.kinds.len()).collect();
        setup.unsigned = false;
        setup.as_users = true;
        setup.deed = Some(deed);
        setup
    }

    /// A random network of ours in which some are linked twice or three times, dialled by either.
    pub fn with_twins(seed: u64) -> Self {
        let mut setup = Setup::random(seed);
        let mut rng = Rng::new(seed ^ 0x7717);
        setup.kinds.retain(|kind| *kind != Kind::Hostile);
        let count = setup.kinds.len();
        setup.links.retain(|(dialler, listener, _)| *dialler < count && *listener < count);
        let links = setup.links.len();
        setup.faults.retain(|(_, fault)| match fault {
            Fault::Cut(link) | Fault::Partition(link, _) => *link < links,
            Fault::Restart(..) | Fault::Stall(..) => true,
        });
        setup.kinds.iter_mut().for_each(|kind| *kind = Kind::New);
        setup.first.clear();
        for (dialler, listener, delay) in setup.links.clone() {
            for _ in 0..rng.below(3) {
                let ends = if rng.chance(50) { (dialler, listener) } else { (listener, dialler) };
                setup.links.push((ends.0, ends.1, if rng.chance(50) { delay } else { (1, 60) }));
            }
        }
        setup.dials = setup.links.iter().map(|_| if rng.chance(50) { 0 } else { rng.below(5_000) }).collect();
        for _ in 0..rng.below(20) {
            setup.faults.push((rng.range(50, 9_000), Fault::Cut(rng.below(setup.links.len() as u64) as usize)));
        }
        setup.as_users = true;
        setup.twins = true;
        setup
    }

    fn random_emits(&mut self, rng: &mut Rng, count: usize) {
        let same = rng.chance(30);
        for peer in 0..count {
            for number in 0..if rng.chance(60) { rng.below(25) } else { 0 } {
                // Equal events from equal heads are one node in 1.x.
                let text =
                    if same && number < 4 { format!("same {number}") } else { format!("{peer} before {number}") };
                self.emits.push((0, peer, event(&text)));
            }
        }
        for burst in 0..rng.range(2, 14) {
            let (at, peer) = (rng.range(1, 9_000), rng.below(count as u64) as usize);
            let both = rng.chance(25);
            for number in 0..rng.range(1, 12) {
                let gap = if rng.chance(50) { 0 } else { rng.below(40) };
                let text = if both { format!("twin {burst} {number}") } else { format!("{peer} {burst} {number}") };
                self.emits.push((at + number * gap, peer, event(&text)));
                if both {
                    self.emits.push((at + number * gap, (peer + 1) % count, event(&text)));
                }
            }
        }
        self.emits.sort_by_key(|emit| emit.0);
    }

    fn random_faults(&mut self, rng: &mut Rng, count: usize) {
        for _ in 0..rng.below(6) {
            let at = rng.range(50, 9_000);
            let link = rng.below(self.links.len() as u64) as usize;
            let peer = rng.below(count as u64) as usize;
            let fault = match rng.below(4) {
                0 => Fault::Cut(link),
                1 => Fault::Partition(link, rng.range(100, 4_000)),
                2 => Fault::Restart(peer, rng.range(10, 2_000)),
                _ => Fault::Stall(peer, rng.range(100, 3_000)),
            };
            self.faults.push((at, fault));
        }
    }
}

fn topology(rng: &mut Rng, count: usize) -> Vec<(usize, usize)> {
    let mut links = Vec::new();
    let shape = rng.below(4);
    for peer in 1..count {
        let other = match shape {
            0 | 1 => peer - 1,
            2 => 0,
            _ => rng.below(peer as u64) as usize,
        };
        links.push((peer, other));
    }
    if shape == 1 && count > 2 {
        links.push((0, count - 1));
    }
    if shape == 3 {
        for _ in 0..rng.below(count as u64) {
            let (a, b) = (rng.below(count as u64) as usize, rng.below(count as u64) as usize);
            if a != b && !links.contains(&(a, b)) && !links.contains(&(b, a)) {
                links.push((a, b));
            }
        }
    }
    links.into_iter().map(|(a, b)| if rng.chance(50) { (a, b) } else { (b, a) }).collect()
}
