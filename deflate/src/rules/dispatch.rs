//! Sets a rule to work on a segment.

use super::go::Go;
use super::greedy::Greedy;
use super::hash::{Crc, Golden, Hash, Product, Rolling};
use super::lazy::{FAR, Lazy, Level};
use super::libdeflate::Libdeflate;
use super::medium::Medium;
use super::miniz::Miniz;
use super::{Family, Predictor, Span};
use crate::corrections::Method;

/// Work that needs a rule's predictor.
pub(crate) trait Task {
    /// The result of the work.
    type Output;

    /// Does the work with a predictor at the start of the segment.
    fn run<P: Predictor>(self, predictor: P) -> Self::Output;
}

/// Does the work with the predictor of this rule.
pub(crate) fn with_rule<T: Task>(method: Method, span: &Span<'_>, task: T) -> T::Output {
    let Method { rule, .. } = method;
    let bits = rule.hash_bits();
    match rule.family() {
        Family::Zlib | Family::Gzip => zlib(method, Rolling::new(bits), span, task),
        Family::Chromium => zlib(method, Product { bits }, span, task),
        Family::Go => task.run(Go::new(rule.level(), span)),
        Family::Libdeflate => task.run(Libdeflate::new(rule.level(), span)),
        Family::ZlibNg => {
            let level = Level::of(rule.level());
            if rule.level() < 7 {
                return task.run(Medium::new(level, rule.cut(), span));
            }
            // Short matches are found by chance only, and used at any distance.
            task.run(Lazy::new(Golden, level, usize::MAX, rule.cut(), span))
        }
        Family::Miniz => task.run(Miniz::new(rule.level(), span)),
        Family::ChromiumCrc => {
            let mask = if rule.level() >= 6 { 0xff_ffff } else { u32::MAX };
            zlib(method, Crc { bits, mask }, span, task)
        }
    }
}

fn zlib<H: Hash, T: Task>(method: Method, hash: H, span: &Span<'_>, task: T) -> T::Output {
    let Method { rule, flush_every } = method;
    if rule.level() < 4 {
        task.run(Greedy::new(hash, Level::of(rule.level()), rule.cut(), span, flush_every))
    } else {
        task.run(Lazy::new(hash, Level::of(rule.level()), FAR, rule.cut(), span))
    }
}
