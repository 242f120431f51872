//! Where entries come from: a cache that many use answers only for the place an entry was filled
//! from.

use crate::domain::{Sha256Digest, Sha256Hasher};

/// A place in a place: a bucket of an endpoint. The default is no place in particular.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Origin(Option<Sha256Digest>);

impl Origin {
    /// The place `name` within this one.
    pub(super) fn within(&self, name: &str) -> Self {
        let mut hasher = Sha256Hasher::default();
        hasher.update(b"deltaglider cache: a place");
        hasher.update(self.0.as_ref().map(Sha256Digest::as_bytes).unwrap_or(&[0; 32]));
        hasher.update(name.as_bytes());
        Self(Some(hasher.finish()))
    }

    /// The identity of an entry with this content from this place. The entry's name is derived from
    /// it, and its sealed header holds it, so that an entry under another name is not taken for
    /// this one.
    pub(super) fn entry_id(&self, digest: &Sha256Digest) -> Sha256Digest {
        let Some(place) = &self.0 else { return *digest };
        let mut hasher = Sha256Hasher::default();
        hasher.update(b"deltaglider cache: an entry");
        hasher.update(place.as_bytes());
        hasher.update(digest.as_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_own_entries() {
        let digest = Sha256Digest::of(b"content");
        let (a, b) = (Origin::default().within("a"), Origin::default().within("b"));
        let ids =
            [Origin::default(), a, b, a.within("b"), b.within("a"), Origin::default().within("ab")];
        let ids: Vec<_> = ids.iter().map(|origin| origin.entry_id(&digest)).collect();
        for (n, id) in ids.iter().enumerate() {
            assert!(!ids[..n].contains(id), "{n}");
        }
        assert!(a.entry_id(&digest) == Origin::default().within("a").entry_id(&digest));
        assert!(a.entry_id(&digest) != a.entry_id(&Sha256Digest::of(b"other")));
    }
}
