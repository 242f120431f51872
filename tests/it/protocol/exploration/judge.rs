//! What is wrong in the end.
//!
//! All operations were under way at once, so each that had an effect may have been the last of its
//! name. What was there before may only be there still if no operation reported to have changed it.

use std::rc::Rc;

use deltaglider::storage::{ChecksumKind, StatedChecksum};

use super::world::{Answer, Call, World};
use super::{Did, End, Judgement, Op, Place, Search, State, alone, object};

/// Failures that lose nothing: what was asked for cannot be had beside another operation that
/// succeeded.
const LAWFUL: [&str; 4] = [
    "is where the delta of",
    "no such bucket",
    "kept replacing it",
    "changed while it was read; nothing was stored",
];

impl Search<'_> {
    /// What is wrong: what was reported stored must be readable, and what was readable must stay
    /// so.
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
            // What was moved here is what was there.
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
                    if scenario.judgement == Judgement::Kept
                        && !changed
                        && {
                            let kept = world.ask(&Call::Head(object(name)));
                            let tag = initial.as_ref().map(|content| content_tag(content));
                            matches!((kept, tag), (Answer::Head(Ok(head)), Some(tag)) if head.etag.0.starts_with(&tag))
                        } => {}
                // Its name is the key of a delta, and it was not stored.
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

    /// A file that was put where another was moved away must be in one of the two places.
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
            format!("{from} holds something else in the end: it is gone and was not moved")
        })
    }
}

/// The tag of a content, as the store makes it.
fn content_tag(content: &[u8]) -> String {
    StatedChecksum::of(ChecksumKind::Md5, content)
        .value
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
