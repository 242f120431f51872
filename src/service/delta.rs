//! Making a delta, and taking it back apart before anybody trusts it.

use std::io::Write as _;
use std::sync::Arc;

use deltaglider_vcdiff::{DecodeOptions, Decoder, EncodeOptions, Encoder, Level};

use super::DeltaService;
use super::blocking::{self, Cancelled};
use super::decode_memory::SOURCE;
use super::error::ServiceError;
use super::input::Input;
use super::spool::Spool;
use crate::cache::CachedReference;
use crate::domain::{Sha256Digest, Sha256Hasher};

/// What encoding a file came to.
pub(crate) struct Encoded {
    /// SHA-256 of the file, of the bytes the encoder saw.
    pub(crate) digest: Sha256Digest,
    /// The delta; `None` when it would have been longer than allowed.
    pub(crate) delta: Option<Input>,
}

/// As the Python tool calls xdelta3: level 9, LZMA; no application header, since the key is the truth about the name.
fn options(target_len: u64) -> EncodeOptions {
    let mut options = EncodeOptions::at_level(Level::BEST);
    options.target_len = Some(target_len);
    options
}

impl DeltaService {
    /// Encodes `file` against `reference`, stops as soon as the delta has more than `limit` bytes, and decodes what it made.
    pub(super) async fn encode(
        &self,
        file: &Input,
        reference: &CachedReference,
        limit: u64,
    ) -> Result<Encoded, ServiceError> {
        let permit = self.turns.encoder().await;
        let (file, reference, folder) = (file.clone(), reference.clone(), self.settings.spool_folder.clone());
        blocking::run(move |cancelled| {
            // Given back by the thread that uses the memory, even when nobody waits for it any more.
            let _permit = permit;
            let encoded = encode_blocking(&file, &reference, limit, Spool::new(&folder), cancelled)?;
            if let Some(delta) = &encoded.delta
                && decoded_digest(delta, &reference, file.len(), cancelled)? != Some(encoded.digest)
            {
                return Err(ServiceError::RoundTrip(file.name().to_owned()));
            }
            Ok(encoded)
        })
        .await
    }
}

fn encode_blocking(
    file: &Input,
    reference: &CachedReference,
    limit: u64,
    mut spool: Spool,
    cancelled: &Cancelled,
) -> Result<Encoded, ServiceError> {
    let failed = |source| ServiceError::Encode { what: file.name().to_owned(), source };
    let spooled = || ServiceError::local(format!("the delta of {}", file.name()));
    let mut encoder = Some(Encoder::new(Some(reference.clone()), &options(file.len())).map_err(failed)?);
    let mut hasher = Sha256Hasher::default();
    let mut out = Vec::new();
    file.read(cancelled, |mut piece| {
        hasher.update(piece);
        while !piece.is_empty() {
            // Past the limit the rest is read for its digest only.
            let Some(running) = &mut encoder else { break };
            let taken = running.push(piece, &mut out).map_err(failed)?;
            piece = piece.get(taken..).unwrap_or_default();
            if spool.len() + out.len() as u64 > limit {
                encoder = None;
                break;
            }
            spool.write_all(&out).map_err(spooled())?;
            out.clear();
        }
        Ok::<_, ServiceError>(())
    })?;
    let digest = hasher.finish();
    let Some(encoder) = encoder else { return Ok(Encoded { digest, delta: None }) };
    encoder.finish(&mut out).map_err(failed)?;
    if spool.len() + out.len() as u64 > limit {
        return Ok(Encoded { digest, delta: None });
    }
    spool.write_all(&out).map_err(spooled())?;
    let len = spool.len();
    let bytes = Arc::new(spool.finish().map_err(spooled())?);
    Ok(Encoded { digest, delta: Some(Input::of(&format!("the delta of {}", file.name()), len, bytes)) })
}

/// The digest of what the delta gives, or `None` when it cannot be decoded or gives another length.
fn decoded_digest(
    delta: &Input,
    reference: &CachedReference,
    target_len: u64,
    cancelled: &Cancelled,
) -> Result<Option<Sha256Digest>, ServiceError> {
    let mut decoder = Decoder::new(Some(reference.clone()), &decode_options(target_len));
    let mut hasher = Sha256Hasher::default();
    let mut out = Vec::new();
    let mut sound = true;
    delta.read(cancelled, |mut piece| {
        while sound && !piece.is_empty() {
            match decoder.push(piece, &mut out) {
                Ok(taken) => piece = piece.get(taken..).unwrap_or_default(),
                Err(_) => sound = false,
            }
            hasher.update(&out);
            out.clear();
        }
        Ok::<_, ServiceError>(())
    })?;
    let whole = sound && decoder.finish().is_ok_and(|summary| summary.target_len == target_len);
    Ok(whole.then(|| hasher.finish()))
}

/// Options to decode a delta whose file has `target_len` bytes.
fn decode_options(target_len: u64) -> DecodeOptions {
    let mut options = DecodeOptions::default();
    options.limits.target = Some(target_len);
    options.limits.source_cache = SOURCE;
    options
}
