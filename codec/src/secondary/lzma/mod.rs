//! LZMA sections: per section kind one .xz stream for the whole file, flushed after every section and never finished.

pub(crate) mod decode;
mod decode_symbols;
