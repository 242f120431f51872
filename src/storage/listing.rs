//! Selects the keys and common prefixes of a listing's page: the rules of ListObjectsV2 over any
//! sorted set of keys.

use super::ListRequest;

/// The maximum number of entries in a page (S3 API reference, ListObjectsV2, `MaxKeys`).
pub(super) const MAX_PAGE: usize = 1000;

/// A sequence of keys in byte order that supports a seek to any position.
pub(super) trait SortedKeys {
    /// The error of a failed lookup.
    type Error;

    /// Returns the first key at or after `from`, which need not be UTF-8.
    fn first_from(&mut self, from: &[u8]) -> Result<Option<String>, Self::Error>;
}

/// The entries of one page, without the objects' heads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) keys: Vec<String>,
    pub(super) common_prefixes: Vec<String>,
    /// The last entry of a page that is not the last: the next page starts after it.
    pub(super) continuation: Option<String>,
}

/// Selects one page. Skips over a common prefix with one seek in `keys`, however many keys it has.
pub(super) fn select<K: SortedKeys>(
    keys: &mut K,
    request: &ListRequest,
) -> Result<Selection, K::Error> {
    let delimiter = request.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let marker =
        request.continuation.as_deref().or(request.start_after.as_deref()).unwrap_or_default();
    let limit = request.max_keys.map_or(MAX_PAGE, |asked| usize::from(asked).clamp(1, MAX_PAGE));
    let mut page = Selection::default();
    let mut last = None;
    let mut count = 0;
    let mut from = if marker.is_empty() { Vec::new() } else { just_after(marker) };
    from = from.max(request.prefix.clone().into_bytes());
    while let Some(key) = keys.first_from(&from)? {
        let Some(rest) = key.strip_prefix(&request.prefix) else { break };
        let rolled_up = delimiter.and_then(|delimiter| {
            let end = request.prefix.len() + rest.find(delimiter)? + delimiter.len();
            key.get(..end).map(str::to_owned)
        });
        from = rolled_up.as_deref().map_or_else(|| just_after(&key), behind_all_with);
        if rolled_up.as_deref().is_some_and(|common| common <= marker) {
            continue;
        }
        if count == limit {
            page.continuation = last;
            break;
        }
        count += 1;
        last = Some(rolled_up.clone().unwrap_or_else(|| key.clone()));
        match rolled_up {
            Some(common) => page.common_prefixes.push(common),
            None => page.keys.push(key),
        }
    }
    Ok(page)
}

/// Returns the smallest text greater than `text`.
fn just_after(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// Returns the smallest byte string greater than everything that starts with `prefix`. UTF-8 has no
/// byte 0xFF, so the last byte can be incremented.
fn behind_all_with(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    struct Counted {
        keys: BTreeSet<String>,
        asked: usize,
    }

    impl SortedKeys for Counted {
        type Error = Infallible;

        fn first_from(&mut self, from: &[u8]) -> Result<Option<String>, Infallible> {
            self.asked += 1;
            Ok(self.keys.iter().find(|key| key.as_bytes() >= from).cloned())
        }
    }

    /// Lists every entry by filtering all keys, without any seek: the reference for the property
    /// test.
    fn naive(keys: &BTreeSet<String>, request: &ListRequest) -> Vec<String> {
        let after = request.start_after.clone().unwrap_or_default();
        let mut entries = BTreeSet::new();
        for key in keys.iter().filter(|key| key.starts_with(&request.prefix)) {
            let rest = &key[request.prefix.len()..];
            let found = request
                .delimiter
                .as_ref()
                .filter(|d| !d.is_empty())
                .and_then(|d| Some((rest.find(d)?, d)));
            entries.insert(found.map_or(key.clone(), |(at, d)| {
                key[..request.prefix.len() + at + d.len()].to_owned()
            }));
        }
        entries.into_iter().filter(|entry| *entry > after).collect()
    }

    fn text() -> impl Strategy<Value = String> {
        "[ab/.\u{7f}é]{0,5}"
    }

    proptest! {
        #[test]
        fn pages_match_naive_listing(
            keys in proptest::collection::btree_set("[ab/.\u{7f}é]{1,5}", 0..40),
            prefix in text(),
            delimiter in proptest::option::of("[a/]{0,2}"),
            start_after in proptest::option::of(text()),
            max_keys in proptest::option::of(1u16..7),
        ) {
            let mut request =
                ListRequest { prefix, delimiter, start_after, continuation: None, max_keys };
            let expected = naive(&keys, &request);
            let mut keys = Counted { keys, asked: 0 };
            let mut got = Vec::new();
            loop {
                let page = select(&mut keys, &request).unwrap();
                let mut entries = [page.keys, page.common_prefixes].concat();
                entries.sort();
                prop_assert!(entries.len() <= max_keys.map_or(MAX_PAGE, usize::from));
                prop_assert!(page.continuation.is_none() || !entries.is_empty());
                got.extend(entries);
                request.continuation = page.continuation;
                if request.continuation.is_none() { break }
            }
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn common_prefix_costs_one_seek() {
        let keys =
            (0..500).map(|n| format!("big/{n:04}")).chain(["after".into(), "z".into()]).collect();
        let mut keys = Counted { keys, asked: 0 };
        let request = ListRequest { delimiter: Some("/".into()), ..ListRequest::default() };
        let page = select(&mut keys, &request).unwrap();
        assert_eq!(
            (page.keys, page.common_prefixes),
            (vec!["after".into(), "z".into()], vec!["big/".into()])
        );
        assert_eq!(keys.asked, 4);
    }
}
