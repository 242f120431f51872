//! Decodes a delta from an untrusted source within limits: `limits`.
#![allow(missing_docs)]

use std::error::Error;

use deltaglider_vcdiff::{
    DecodeErrorKind, DecodeLimits, DecodeOptions, EncodeOptions, Limit, decode, encode,
};

fn main() -> Result<(), Box<dyn Error>> {
    let bomb = encode(None, &vec![0; 1 << 20], &EncodeOptions::default())?;
    let options =
        DecodeOptions::from(DecodeLimits::default().with_window(1 << 16).with_target(1 << 18));
    let Err(error) = decode(None, &bomb, &options) else {
        return Err("a megabyte where a quarter is allowed".into());
    };
    assert!(matches!(
        *error.kind(),
        DecodeErrorKind::Limit { limit: Limit::Window, allowed: 65_536, .. }
    ));
    println!("{} bytes of delta rejected: {error}", bomb.len());
    Ok(())
}
