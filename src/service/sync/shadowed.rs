//! Files of a bucket that have the name of a directory. A local directory cannot hold both, so the
//! file is skipped.

use super::entry::{Entry, Seen};

/// Holds files back until the listing, which is in key order, has passed all keys below them.
#[derive(Default)]
pub(super) struct Shadowed {
    /// The held files, each with the first name listed below it. Each name may be a prefix of the
    /// next.
    held: Vec<(Entry, Option<String>)>,
}

impl Shadowed {
    /// Takes the next item, and returns the items that no later name can be below.
    pub(super) fn pass(&mut self, seen: Seen, takes: impl Fn(&str) -> bool) -> Vec<Seen> {
        let name = match &seen {
            Seen::File(entry) if takes(&entry.relative) => &entry.relative,
            Seen::Marker(name) if !name.is_empty() => name,
            _ => return vec![seen],
        };
        let mut passed = Vec::new();
        // `0` is the byte after `/`.
        while let Some((entry, below)) =
            self.held.pop_if(|(entry, _)| *name >= format!("{}0", entry.relative))
        {
            passed.push(released(entry, below));
        }
        let file = self
            .held
            .iter()
            .find(|(entry, _)| name.strip_prefix(entry.relative.as_str()) == Some("/"));
        if let Some((entry, _)) = file {
            // A directory marker has no content, so the file is the one to keep.
            passed.push(Seen::Shadowed(name.clone(), entry.relative.clone()));
            return passed;
        }
        for (entry, below) in &mut self.held {
            if name.strip_prefix(entry.relative.as_str()).is_some_and(|rest| rest.starts_with('/'))
            {
                below.get_or_insert_with(|| name.clone());
            }
        }
        match seen {
            Seen::File(entry) => self.held.push((entry, None)),
            seen => passed.push(seen),
        }
        passed
    }

    /// Returns the remaining items.
    pub(super) fn end(self) -> Vec<Seen> {
        self.held.into_iter().map(|(entry, below)| released(entry, below)).collect()
    }
}

fn released(entry: Entry, below: Option<String>) -> Seen {
    match below {
        Some(below) => Seen::Shadowed(entry.relative, below),
        None => Seen::File(entry),
    }
}
