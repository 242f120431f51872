//! LZMA sections: one .xz stream per section kind that continues over all windows of a delta and
//! never ends.

pub(crate) mod decode;
mod decode_symbols;
mod encode;
mod encode_symbols;
mod fast_parse;
mod match_finder;
mod range_decoder;
mod range_encoder;

pub(crate) use encode::LzmaEncoder;
