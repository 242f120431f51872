//! Detects endless listings: a store that repeats pages, or sends empty ones without end.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::Cause;

/// The maximum number of empty pages in a row.
const MAX_EMPTY: u32 = 1000;
/// The maximum number of entries remembered per listing, for stores that list out of order.
const MAX_REMEMBERED: usize = 1 << 16;
/// The maximum number of unfinished listings. The oldest are forgotten first.
const MAX_LISTINGS: usize = 64;
/// The mark of a token and that of a marker in a continuation.
const TOKEN: &str = "t";
const MARKER: &str = "m";

/// The start of the next page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Next {
    /// A token of the store.
    Token(String),
    /// The last key, for stores that only support ListObjects V1.
    Marker(String),
}

/// The pages of a listing read so far.
#[derive(Debug, Default)]
pub(super) struct Pages {
    hasher: RandomState,
    starts: HashSet<u64>,
    entries: HashSet<u64>,
    /// The greatest entry in byte order.
    greatest: Option<String>,
    /// Set once a page began at or before the greatest entry of the earlier ones.
    unordered: bool,
    empty: u32,
}

impl Pages {
    /// Records the entries of a page and the start of the next one.
    ///
    /// # Errors
    ///
    /// Fails on a repeated start, a page without a new entry, or too many empty pages in a row.
    pub(super) fn take<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a str> + Clone,
        next: Option<&Next>,
    ) -> Result<(), Cause> {
        let is_last = next.is_none();
        if next.is_some_and(|next| !self.starts.insert(self.hasher.hash_one(next))) {
            return Err(Cause::new(
                "the listing does not end: the store sent a continuation token a second time",
            ));
        }
        if entries.clone().next().is_none() {
            self.empty += 1;
            return match self.empty > MAX_EMPTY && !is_last {
                true => Err(Cause::new(format!(
                    "the listing does not end: {} pages in a row are empty",
                    self.empty
                ))),
                false => Ok(()),
            };
        }
        self.empty = 0;
        if !entries.clone().any(|entry| self.is_new(entry)) {
            return Err(Cause::new(
                "the store sent a page of the listing a second time: it has no new key",
            ));
        }
        self.unordered |= entries.clone().any(|entry| !self.is_greatest(entry));
        for entry in entries.clone().take(MAX_REMEMBERED.saturating_sub(self.entries.len())) {
            self.entries.insert(self.hasher.hash_one(entry));
        }
        let greatest = entries.max().filter(|entry| self.is_greatest(entry)).map(str::to_owned);
        self.greatest = greatest.or(self.greatest.take());
        Ok(())
    }

    fn is_greatest(&self, entry: &str) -> bool {
        self.greatest.as_deref().is_none_or(|greatest| entry > greatest)
    }

    /// Returns whether an entry is new, as far as entries are remembered.
    fn is_new(&self, entry: &str) -> bool {
        self.is_greatest(entry)
            || match self.entries.len() < MAX_REMEMBERED {
                true => !self.entries.contains(&self.hasher.hash_one(entry)),
                false => self.unordered,
            }
    }
}

/// The unfinished listings of a store.
#[derive(Debug, Clone, Default)]
pub(super) struct Listings(Arc<Mutex<UnderWay>>);

#[derive(Debug, Default)]
struct UnderWay {
    last_id: u64,
    listings: BTreeMap<u64, Pages>,
}

impl Listings {
    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the pages before a continuation returned by [`keep`](Self::keep), and the start of
    /// the next one.
    pub(super) fn resume(&self, continuation: &str) -> (Pages, Next) {
        let parts = continuation.split_once('-').and_then(|(id, next)| {
            let next = match next.split_at_checked(1)? {
                (TOKEN, token) => Next::Token(token.to_owned()),
                (MARKER, marker) => Next::Marker(marker.to_owned()),
                _ => return None,
            };
            Some((id.parse::<u64>().ok()?, next))
        });
        match parts {
            Some((id, next)) => (self.under_way().listings.remove(&id).unwrap_or_default(), next),
            None => (Pages::default(), Next::Token(continuation.to_owned())),
        }
    }

    /// Stores the pages until the next one is requested, and returns the continuation for it.
    pub(super) fn keep(&self, pages: Pages, next: &Next) -> String {
        let mut under_way = self.under_way();
        under_way.last_id += 1;
        let id = under_way.last_id;
        under_way.listings.insert(id, pages);
        if under_way.listings.len() > MAX_LISTINGS {
            under_way.listings.pop_first();
        }
        match next {
            Next::Token(token) => format!("{id}-{TOKEN}{token}"),
            Next::Marker(marker) => format!("{id}-{MARKER}{marker}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pages: &mut Pages, entries: &[&str], token: Option<&str>) -> bool {
        let next = token.map(|token| Next::Token(token.to_owned()));
        pages.take(entries.iter().copied(), next.as_ref()).is_ok()
    }

    #[test]
    fn repeated_tokens_are_refused() {
        let mut pages = Pages::default();
        assert!(take(&mut pages, &["a"], Some("1")) && take(&mut pages, &["b"], Some("2")));
        assert!(!take(&mut pages, &["c"], Some("1")));
    }

    #[test]
    fn pages_need_a_new_key() {
        let mut pages = Pages::default();
        assert!(take(&mut pages, &["b", "a"], Some("1")));
        assert!(take(&mut pages, &["A", "b"], Some("2")), "another order");
        assert!(!take(&mut pages, &["b", "A"], Some("3")));
        assert!(take(&mut pages, &[], None));
    }

    /// Beyond [`MAX_REMEMBERED`] entries, only their order shows a repetition.
    #[test]
    fn long_listings_rely_on_order() {
        let mut pages = Pages::default();
        let key = |n: usize| format!("{n:08}");
        for n in 0..MAX_REMEMBERED / 1000 + 2 {
            let keys: Vec<_> = (n * 1000..(n + 1) * 1000).map(key).collect();
            let next = Next::Marker(key(n));
            assert!(pages.take(keys.iter().map(String::as_str), Some(&next)).is_ok());
        }
        assert!(pages.entries.len() <= MAX_REMEMBERED);
        assert!(!take(&mut pages, &[&key(MAX_REMEMBERED + 500)], Some("x")));
    }

    #[test]
    fn empty_pages_are_limited() {
        let mut pages = Pages::default();
        for n in 0..MAX_EMPTY {
            assert!(take(&mut pages, &[], Some(&n.to_string())));
        }
        assert!(take(&mut pages, &["a"], Some("a")));
        for n in 0..MAX_EMPTY {
            assert!(take(&mut pages, &[], Some(&format!("again {n}"))));
        }
        assert!(!take(&mut pages, &[], Some("end")));
    }

    #[test]
    fn old_listings_are_forgotten() {
        let listings = Listings::default();
        let mut first = Pages::default();
        assert!(take(&mut first, &["a"], Some("t-1")));
        let marker = Next::Marker("é-1".to_owned());
        let (_, resumed) = listings.resume(&listings.keep(Pages::default(), &marker));
        assert_eq!(resumed, marker);
        let token = Next::Token("t-1".to_owned());
        let continuation = listings.keep(first, &token);
        let (mut pages, resumed) = listings.resume(&continuation);
        assert_eq!(resumed, token);
        assert!(!take(&mut pages, &["a"], Some("t-2")));
        for _ in 0..2 * MAX_LISTINGS {
            listings.keep(Pages::default(), &token);
        }
        assert_eq!(listings.under_way().listings.len(), MAX_LISTINGS);
    }
}
