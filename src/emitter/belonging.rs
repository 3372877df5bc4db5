//! Which network a store belongs to: the store keeps the first name that it is opened with, and never changes it.

use bytes::Bytes;

use crate::error::{quoted, Error, Result};
use crate::protocol::capability::MAX_NETWORK_NAME;
use crate::store::{Commit, Meta, Store};

/// The network of `store`, which was opened with the name `given`. A store that is open read-only is not given a name.
///
/// # Errors
/// `Network` if it belongs to another one; `InvalidArgument` if the name cannot be one; the store's own.
pub(super) fn network_of(store: &dyn Store, given: Option<&str>) -> Result<Option<String>> {
    let kept = store.meta(&Meta::Network)?.map(|kept| String::from_utf8_lossy(&kept).into_owned());
    let Some(given) = given else { return Ok(kept) };
    if given.is_empty() || given.len() > MAX_NETWORK_NAME {
        return Err(Error::InvalidArgument(format!(
            "{} cannot be the name of a network: one has 1 to {MAX_NETWORK_NAME} bytes",
            quoted(given)
        )));
    }
    match kept {
        Some(kept) if kept != given => Err(Error::Network(format!(
            "the store belongs to network {}, this emitter to {}",
            quoted(&kept),
            quoted(given)
        ))),
        Some(_) => Ok(kept),
        None if store.is_read_only() => Ok(None),
        None => {
            let name = Bytes::copy_from_slice(given.as_bytes());
            store.commit(&Commit { meta: vec![(Meta::Network, Some(name))], ..Commit::default() })?;
            Ok(Some(given.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    #[test]
    fn the_first_name_stays() {
        let store = MemoryStore::new();
        let network = |given| network_of(&store, given);
        assert_eq!(network(None).unwrap(), None);
        for given in [Some("production"), None, Some("production")] {
            assert_eq!(network(given).unwrap().as_deref(), Some("production"));
        }
        let error = network(Some("staging")).unwrap_err();
        assert_eq!(error.code(), "ERR_HYPER_NETWORK");
        assert!(error.to_string().contains("\"production\"") && error.to_string().contains("\"staging\""), "{error}");
        assert_eq!(network(None).unwrap().as_deref(), Some("production"));
    }

    #[test]
    fn a_name_has_1_to_128_bytes() {
        let store = MemoryStore::new();
        for name in [String::new(), "ü".repeat(65)] {
            assert_eq!(network_of(&store, Some(&name)).unwrap_err().code(), "ERR_HYPER_INVALID_ARG");
        }
        assert!(network_of(&store, Some(&"ü".repeat(64))).is_ok());
    }
}
