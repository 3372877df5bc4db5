//! Several links between the same two emitters: one of them carries rows, and the others stand by.
//!
//! Two emitters have several links if each dialled the other, or if one dialled two addresses of the other. If every link carried
//! rows, each event would travel as often as there are links. Both sides must choose the same link, even when their handshakes
//! cross on the way. So the emitter with the greater instance id *leads*: it decides, and names the link that carries by the token
//! that the other side gave on it. An instance id is known to every emitter that was ever linked with it, but a token only to the
//! other end of one link. So nobody can pass off somebody else's link as one of its own.
//!
//! The other side *follows*: it lets every link carry until it is told that one stands by, and objects if it does not know the link
//! that is named. When the link that carried ends, either side lets the oldest one that stands by carry, and says so. If the two
//! sides choose differently, the leader names its choice again. Two links that both carry for a while cost bytes, nothing else.

use std::collections::HashMap;
use std::hash::Hash;

/// Random bytes that an emitter draws when it opens. Two links to the same emitter are recognised by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub [u8; 16]);

/// Random bytes that an emitter draws for one connection. Only the other end of that connection knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 8]);

/// What a link has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Carry rows.
    Carry,
    /// Carry rows, and tell the peer that this link does.
    TakeOver,
    /// Stand by, and tell the peer that the link on which it gave this token carries.
    Yield(Token),
    /// Stand by, as the peer has decided.
    StandBy,
}

/// All links of one emitter that may have twins, each with an id that the driver chose.
#[derive(Debug)]
pub struct Twins<Id> {
    ours: Instance,
    links: HashMap<Id, Twin<Id>>,
    by_token: HashMap<Token, Id>,
    /// In the order in which the peers' handshakes arrived.
    by_instance: HashMap<Instance, Vec<Id>>,
}

#[derive(Debug)]
struct Twin<Id> {
    token: Token,
    peer: Option<(Instance, Token)>,
    carries: bool,
    /// The link that was last named to the peer as the one that carries.
    named: Option<Id>,
}

impl<Id: Copy + Eq + Hash> Twins<Id> {
    /// No links, for the emitter with this instance id.
    #[must_use]
    pub fn new(ours: Instance) -> Self {
        Twins { ours, links: HashMap::new(), by_token: HashMap::new(), by_instance: HashMap::new() }
    }

    /// The emitter's own instance id.
    #[must_use]
    pub fn ours(&self) -> Instance {
        self.ours
    }

    /// Adds a connection on which we give this token.
    pub fn opened(&mut self, id: Id, token: Token) {
        self.by_token.insert(token, id);
        self.links.insert(id, Twin { token, peer: None, carries: false, named: None });
    }

    /// The peer's handshake has arrived.
    pub fn met(&mut self, id: Id, theirs: Instance, token: Token) -> Turn {
        let first = self.by_instance.get(&theirs).and_then(|ids| self.carrying(ids, None));
        let first = first.filter(|_| self.leads(theirs));
        let Some(twin) = self.links.get_mut(&id) else { return Turn::Carry };
        twin.peer = Some((theirs, token));
        twin.carries = first.is_none();
        twin.named = first.map(|(first, _)| first);
        self.by_instance.entry(theirs).or_default().push(id);
        first.map_or(Turn::Carry, |(_, token)| Turn::Yield(token))
    }

    fn leads(&self, theirs: Instance) -> bool {
        self.ours > theirs
    }

    /// A link other than `but` that carries rows, and the token that the peer gave on it.
    fn carrying(&self, ids: &[Id], but: Option<Id>) -> Option<(Id, Token)> {
        let links = ids.iter().filter(|id| Some(**id) != but).filter_map(|id| Some((*id, self.links.get(id)?)));
        links.filter(|(_, twin)| twin.carries).find_map(|(id, twin)| twin.peer.map(|(_, token)| (id, token)))
    }

    /// Handles the peer's statement, on link `id`, that the link on which we gave `token` carries rows. Returns what `id` has to
    /// do, and the other link if that one has to carry from now on.
    pub fn told(&mut self, id: Id, token: Token) -> (Turn, Option<Id>) {
        let named = self.by_token.get(&token).copied().filter(|named| *named != id);
        let peer = self.links.get(&id).and_then(|twin| twin.peer).map(|(instance, _)| instance);
        // The peer's handshake may not have arrived on the other link yet.
        let known = named.and_then(|named| self.links.get(&named));
        let known = known.filter(|twin| twin.peer.is_none_or(|(instance, _)| Some(instance) == peer));
        let wakes = known.is_some_and(|twin| twin.peer.is_some() && !twin.carries);
        let stands_by = known.is_some();
        self.set(id, !stands_by);
        if !stands_by {
            return (Turn::TakeOver, None);
        }
        let woken = named.filter(|_| wakes);
        woken.inspect(|named| self.set(*named, true));
        (Turn::StandBy, woken)
    }

    /// Handles the peer's statement, on link `id`, that this link carries rows. If we lead and another link carries, we object once
    /// by naming that link. If the peer insists, the other link has ended at its side.
    pub fn carries(&mut self, id: Id) -> Turn {
        let twin = self.links.get(&id).filter(|twin| !twin.carries);
        let led = twin.and_then(|twin| twin.peer).filter(|(instance, _)| self.leads(*instance));
        let others = led.and_then(|(instance, _)| self.by_instance.get(&instance));
        let other = others.and_then(|ids| self.carrying(ids, Some(id)));
        let Some(twin) = self.links.get_mut(&id) else { return Turn::Carry };
        match other.filter(|(other, _)| twin.named != Some(*other)) {
            Some((other, token)) => {
                twin.named = Some(other);
                Turn::Yield(token)
            }
            None => {
                twin.carries = true;
                Turn::Carry
            }
        }
    }

    fn set(&mut self, id: Id, carries: bool) {
        if let Some(twin) = self.links.get_mut(&id) {
            twin.carries = carries;
        }
    }

    /// Removes a link that has ended. Returns the link that has to take over from it.
    pub fn closed(&mut self, id: Id) -> Option<Id> {
        let gone = self.links.remove(&id)?;
        self.by_token.remove(&gone.token);
        let (instance, _) = gone.peer?;
        let ids = self.by_instance.get_mut(&instance)?;
        ids.retain(|other| *other != id);
        let next = ids.first().copied();
        if next.is_none() {
            self.by_instance.remove(&instance);
        }
        let ids = self.by_instance.get(&instance)?;
        let next = next.filter(|_| gone.carries && self.carrying(ids, None).is_none());
        next.inspect(|next| self.set(*next, true));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Instance = Instance([1; 16]);
    const HIGH: Instance = Instance([2; 16]);

    fn token(n: u8) -> Token {
        Token([n; 8])
    }

    /// An emitter (the leader or the follower) with link 1, which carries rows. On link n it has given token n, and the peer 100 +
    /// n.
    fn with_one(ours: Instance, theirs: Instance) -> Twins<u8> {
        let mut twins = Twins::new(ours);
        twins.opened(1, token(1));
        assert_eq!(twins.met(1, theirs, token(101)), Turn::Carry);
        twins
    }

    #[test]
    fn who_leads_has_a_further_link_stand_by_and_who_follows_does_as_told() {
        let mut leader = with_one(HIGH, LOW);
        leader.opened(2, token(2));
        assert_eq!(leader.met(2, LOW, token(102)), Turn::Yield(token(101)));
        let mut follower = with_one(LOW, HIGH);
        follower.opened(2, token(2));
        assert_eq!(follower.met(2, HIGH, token(102)), Turn::Carry);
        assert_eq!(follower.told(2, token(1)), (Turn::StandBy, None));
        assert_eq!(follower.closed(1), Some(2));
        assert_eq!(leader.closed(1), Some(2));
    }

    #[test]
    fn links_of_different_emitters_have_nothing_to_do_with_each_other() {
        let mut twins = with_one(HIGH, LOW);
        twins.opened(2, token(2));
        assert_eq!(twins.met(2, Instance([0; 16]), token(102)), Turn::Carry);
        assert_eq!(twins.closed(1), None);
    }

    #[test]
    fn a_token_of_no_link_or_of_another_emitters_link_is_refused() {
        let mut twins = with_one(LOW, HIGH);
        twins.opened(2, token(2));
        twins.met(2, Instance([9; 16]), token(102));
        for unknown in [token(77), token(102), token(2), token(1)] {
            assert_eq!(twins.told(2, unknown), (Turn::TakeOver, None), "{unknown:?}");
        }
    }

    #[test]
    fn a_link_may_be_named_before_its_handshake_has_come() {
        let mut twins = with_one(LOW, HIGH);
        twins.opened(2, token(2));
        assert_eq!(twins.told(1, token(2)), (Turn::StandBy, None));
        assert_eq!(twins.met(2, HIGH, token(102)), Turn::Carry);
        assert_eq!(twins.closed(2), Some(1));
    }

    #[test]
    fn where_both_sides_choose_another_link_the_leaders_choice_holds_unless_it_is_gone() {
        let mut leader = with_one(HIGH, LOW);
        for n in [2, 3] {
            leader.opened(n, token(n));
            assert_eq!(leader.met(n, LOW, token(100 + n)), Turn::Yield(token(101)));
        }
        assert_eq!(leader.closed(1), Some(2));
        assert_eq!(leader.carries(3), Turn::Yield(token(102)));
        assert_eq!(leader.carries(3), Turn::Carry, "the peer knows nothing of link 2");
        let mut leader = with_one(HIGH, LOW);
        leader.opened(2, token(2));
        leader.met(2, LOW, token(102));
        assert_eq!(leader.carries(2), Turn::Carry, "link 1 has ended there");
    }

    #[test]
    fn nothing_is_kept_of_links_that_are_gone() {
        let mut twins = with_one(HIGH, LOW);
        twins.opened(2, token(2));
        twins.met(2, LOW, token(102));
        twins.opened(3, token(3));
        for id in [3, 1, 2] {
            twins.closed(id);
        }
        assert!(twins.links.is_empty() && twins.by_token.is_empty() && twins.by_instance.is_empty());
    }
}
