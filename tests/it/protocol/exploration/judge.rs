//! The judgement of final states.
//!
//! All operations ran concurrently, so each that had an effect may have been the last of its name.
//! The initial content may remain only if no operation reported a change.

use std::rc::Rc;

use deltaglider::storage::{ChecksumKind, StatedChecksum};

use super::world::{Answer, Call, World};
use super::{Did, End, Judgement, Op, Place, Search, State, alone, object};

/// Failures that lose nothing: the request cannot be met beside another operation that succeeded.
const LAWFUL: [&str; 4] = [
    "is where the delta of",
    "no such bucket",
    "kept replacing it",
    "changed while it was read; nothing was stored",
];

impl Search<'_> {
    /// Returns a violation: reported contents must be readable, and readable ones must stay so.
    pub(super) fn violation(&mut self, state: &State) -> Option<String> {
        let end_of = |&place: &Place, at| self.end(at, place).cloned();
        let ends: Vec<End> =
            state.places.iter().enumerate().filter_map(|(at, place)| end_of(place, at)).collect();
        for (op, end) in self.scenario.ops.iter().zip(&ends) {
            if let End::Failed(error) = end
                && !matches!(op, Op::RemoveBucket(_))
                && !LAWFUL.iter().any(|lawful| error.contains(lawful))
            {
                return Some(format!("{op:.40?} failed: {error}"));
            }
        }
        let mut world = state.world.clone();
        for at in 0..=self.later.len() {
            if let Some(wrong) = self.wrong_in(&world, &ends) {
                return Some(if at == 0 {
                    wrong
                } else {
                    format!("{wrong}, after {:?}", self.scenario.later[at - 1])
                });
            }
            if let Some(actor) = self.later.get_mut(at)
                && let End::Failed(error) = alone(actor, &mut world, &self.runtime)
            {
                return Some(format!("later: {error}"));
            }
        }
        None
    }

    fn wrong_in(&mut self, world: &Rc<World>, ends: &[End]) -> Option<String> {
        let scenario = self.scenario;
        let removed =
            scenario.ops.iter().zip(ends).any(|(op, end)| {
                matches!(op, Op::RemoveBucket(true)) && *end == End::Done(Did::All)
            });
        if removed {
            return None;
        }
        for (&name, initial) in &self.initial {
            let ops = || scenario.ops.iter().zip(ends);
            // A move to this name stores the content of its source.
            let sources = || {
                ops().filter_map(|(op, _)| {
                    if let Op::Move(from, to) = op { (*to == name).then_some(*from) } else { None }
                })
            };
            let moved_in = sources().flat_map(|from| {
                let put = ops().filter_map(move |(op, _)| op.leaves(from)).flatten().map(Some);
                put.chain([self.initial.get(from).and_then(Option::as_ref)])
            });
            let left = ops().filter(|(op, end)| {
                !matches!(op, Op::Move(..)) || matches!(end, End::Crashed | End::Done(Did::All))
            });
            let possible: Vec<Option<&Vec<u8>>> =
                left.filter_map(|(op, _)| op.leaves(name)).chain(moved_in).collect();
            let changed = ops().any(|(op, end)| {
                *end == End::Done(Did::All)
                    && (op.leaves(name).is_some() || matches!(op, Op::Move(_, to) if *to == name))
            });
            let is_right = |read: &Option<Vec<u8>>| {
                possible.contains(&read.as_ref()) || !changed && read.as_ref() == initial.as_ref()
            };
            let reader = self.readers.get_mut(name)?;
            match alone(reader, &mut world.clone(), &self.runtime) {
                End::Done(Did::Read(read)) if is_right(&read) => {}
                End::Failed(_)
                    if scenario.judgement == Judgement::Kept && !changed && {
                        let kept = world.ask(&Call::Head(object(name)));
                        let tag = initial.as_ref().map(|content| content_tag(content));
                        matches!(
                            (kept, tag),
                            (Answer::Head(Ok(head)), Some(tag))
                                if head.etag.0.starts_with(&tag)
                        )
                    } => {}
                // The name is the key of a delta, so it was not stored.
                End::Failed(error)
                    if !changed && initial.is_none() && error.contains("is the delta of") => {}
                End::Failed(error) => return Some(format!("{name} cannot be read: {error}")),
                _ => return Some(format!("{name} holds something else in the end")),
            }
            for (op, end) in ops() {
                if let (Op::Read(of), End::Done(Did::Read(read))) = (op, end)
                    && *of == name
                    && !possible.contains(&read.as_ref())
                    && read.as_ref() != initial.as_ref()
                {
                    return Some(format!("{name} was read as something else on the way"));
                }
            }
        }
        self.lost_by_move(world, ends)
    }

    /// Returns a violation if a file that was put where another was moved away is in neither place.
    fn lost_by_move(&mut self, world: &Rc<World>, ends: &[End]) -> Option<String> {
        let (from, to) = self.scenario.ops.iter().find_map(|op| match op {
            Op::Move(from, to) => Some((*from, *to)),
            _ => None,
        })?;
        let removed =
            self.scenario.ops.iter().any(|op| matches!(op, Op::Delete(name) if *name == from));
        let mut read =
            |name| match alone(self.readers.get_mut(name)?, &mut world.clone(), &self.runtime) {
                End::Done(Did::Read(read)) => read,
                _ => None,
            };
        if removed || read(from).is_some() {
            return None;
        }
        let puts = || {
            self.scenario
                .ops
                .iter()
                .zip(ends)
                .filter_map(|(op, end)| Some((op.leaves(from)??, end)))
        };
        let reported = puts().any(|(_, end)| *end == End::Done(Did::All));
        let initial = self.initial.get(from).and_then(Option::as_ref).filter(|_| !reported);
        let moved = read(to);
        let is_there = moved
            .as_ref()
            .is_some_and(|moved| puts().any(|(put, _)| put == moved) || initial == Some(moved));
        (!is_there).then(|| {
            format!("{from} holds something else in the end: it was deleted and not moved")
        })
    }
}

/// Returns the entity tag that the store makes of a content.
fn content_tag(content: &[u8]) -> String {
    StatedChecksum::of(ChecksumKind::Md5, content)
        .value
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
