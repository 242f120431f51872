#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod archive;
mod bits;
mod block;
mod corrections;
mod detect;
mod error;
mod gnu;
mod header;
mod huffman;
mod limits;
mod parse;
mod rebuild;
mod rules;
mod segment;
mod token;
mod token_form;

pub use bits::BitWriter;
pub use block::{Block, BlockKind};
pub use corrections::{Corrections, Method, corrections};
pub use detect::detect;
pub use error::{ParseError, ParseErrorKind, RebuildError};
pub use gnu::{GnuDeflater, GnuLevel};
pub use header::Header;
pub use limits::{Limit, Limits};
pub use parse::{Parser, Step};
pub use rebuild::rebuild;
pub use rules::{Family, Rule, Span};
pub use segment::{Segment, Segmenter, segments};
pub use token::Token;
pub use token_form::TokenForm;
