//! Origins of entries: a shared cache serves an entry only to the origin it was filled from.

use crate::domain::{Sha256Digest, Sha256Hasher};

/// An endpoint, or a bucket of an endpoint. The default is no particular origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Origin(Option<Sha256Digest>);

impl Origin {
    /// Returns the origin `name` within this one.
    pub(super) fn within(&self, name: &str) -> Self {
        let mut hasher = Sha256Hasher::default();
        hasher.update(b"deltaglider cache: a place");
        hasher.update(self.0.as_ref().map(Sha256Digest::as_bytes).unwrap_or(&[0; 32]));
        hasher.update(name.as_bytes());
        Self(Some(hasher.finish()))
    }

    /// Returns the identity of the entry with this content from this origin. The entry's name is
    /// derived from it, and its sealed header holds it, so that an entry moved to another name is
    /// rejected.
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
    fn origins_have_distinct_ids() {
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
