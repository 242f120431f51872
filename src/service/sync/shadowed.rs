//! Files of a bucket that have the name of a directory: a local directory cannot have both, so the
//! file is left out.

use super::entry::{Entry, Seen};

/// Holds files back until the listing, which is in the order of the keys, has passed what would be
/// below them.
#[derive(Default)]
pub(super) struct Shadowed {
    /// Each may be the beginning of the name of the next; with the first name that is below it.
    held: Vec<(Entry, Option<String>)>,
}

impl Shadowed {
    /// Takes what comes next, and returns what nothing below it can follow any more.
    pub(super) fn pass(&mut self, seen: Seen, takes: impl Fn(&str) -> bool) -> Vec<Seen> {
        let name = match &seen {
            Seen::File(entry) if takes(&entry.relative) => &entry.relative,
            Seen::Marker(name) if !name.is_empty() => name,
            _ => return vec![seen],
        };
        let mut passed = Vec::new();
        // `0` comes after `/`.
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
            // The mark of a directory has no content, so the file is the one to keep.
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

    /// Returns the rest.
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
