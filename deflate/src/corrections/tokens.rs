//! Tokens that differ from what the rule expects.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::varint::{Fields, put};
use crate::error::RebuildError;
use crate::token::{MAX_MATCH, MIN_MATCH, Token};

/// The four kinds of a correction, beside the number of right tokens before it.
const LITERAL: u64 = 0;
const LENGTH: u64 = 1;
const DISTANCE: u64 = 2;
const BOTH: u64 = 3;
/// The bit of a distance that marks length 258 as code 284.
const LONG: u16 = 1 << 15;

/// A writer of corrections.
#[derive(Debug, Default)]
pub(crate) struct TokenWriter {
    pub(crate) bytes: Vec<u8>,
    right: u64,
    /// The number of corrections.
    pub(crate) wrong: u64,
}

impl TokenWriter {
    /// Appends the next token.
    #[inline]
    pub(crate) fn push(&mut self, expected: Token, token: Token) {
        if expected == token {
            self.right = self.right.wrapping_add(1);
        } else {
            self.correct(expected, token);
        }
    }

    /// Counts tokens that are as the rule expects.
    pub(crate) fn skip(&mut self, right: u64) {
        self.right = self.right.wrapping_add(right);
    }

    #[cold]
    fn correct(&mut self, expected: Token, token: Token) {
        self.wrong = self.wrong.saturating_add(1);
        let kind = if token.as_literal().is_some() {
            LITERAL
        } else if token.is_long_258() || expected.as_literal().is_some() {
            BOTH
        } else if expected.distance() == token.distance() {
            LENGTH
        } else if expected.length() == token.length() {
            DISTANCE
        } else {
            BOTH
        };
        put(&mut self.bytes, self.right << 2 | kind);
        self.right = 0;
        if kind & LENGTH != 0 {
            self.bytes.push(token.length().wrapping_sub(MIN_MATCH) as u8);
        }
        if kind & DISTANCE != 0 {
            let long = if token.is_long_258() { LONG } else { 0 };
            let distance = token.distance().wrapping_sub(1) as u16 | long;
            self.bytes.extend(distance.to_le_bytes());
        }
    }
}

/// A reader of corrections.
#[derive(Debug)]
pub(crate) struct TokenReader<'a> {
    fields: Fields<'a>,
    /// The number of right tokens before the next correction, and its kind.
    next: Option<(u64, u64)>,
}

impl<'a> TokenReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, RebuildError> {
        let mut reader = Self { fields: Fields(bytes), next: None };
        reader.read_next()?;
        Ok(reader)
    }

    fn read_next(&mut self) -> Result<(), RebuildError> {
        self.next = if self.fields.is_empty() {
            None
        } else {
            let number = self.fields.number()?;
            Some((number >> 2, number & 3))
        };
        Ok(())
    }

    /// Returns the next token, a literal being `byte`, and whether it was corrected.
    #[inline]
    pub(crate) fn next(
        &mut self,
        expected: Token,
        byte: u8,
    ) -> Result<(Token, bool), RebuildError> {
        match &mut self.next {
            None => Ok((expected, false)),
            Some((0, kind)) => {
                let kind = *kind;
                Ok((self.corrected(kind, expected, byte)?, true))
            }
            Some((right, _)) => {
                *right = right.wrapping_sub(1);
                Ok((expected, false))
            }
        }
    }

    #[cold]
    fn corrected(&mut self, kind: u64, expected: Token, byte: u8) -> Result<Token, RebuildError> {
        let mut length = expected.length();
        let mut distance = expected.distance();
        let mut long = false;
        if kind & LENGTH != 0 {
            length = usize::from(self.fields.byte()?).saturating_add(MIN_MATCH);
        }
        if kind & DISTANCE != 0 {
            let field = u16::from_le_bytes([self.fields.byte()?, self.fields.byte()?]);
            long = field & LONG != 0;
            distance = usize::from(field & !LONG).saturating_add(1);
        }
        self.read_next()?;
        if kind == LITERAL {
            return Ok(Token::literal(byte));
        }
        let valid = distance != 0 && length >= MIN_MATCH && (!long || length == MAX_MATCH);
        match (valid, long) {
            (false, _) => {
                let (length, distance) = (length as u16, distance as u16);
                Err(RebuildError::Match { at: 0, length, distance })
            }
            (true, true) => Ok(Token::long_258(distance)),
            (true, false) => Ok(Token::reuse(length, distance)),
        }
    }

    /// Checks that no correction is left.
    pub(crate) fn end(&self) -> Result<(), RebuildError> {
        if self.next.is_none() { Ok(()) } else { Err(RebuildError::Leftover) }
    }
}
