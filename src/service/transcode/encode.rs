//! Encodes a file to a delta, which is verified by decoding it.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use deltaglider_vcdiff::{DecodeOptions, Decoder, EncodeOptions, Encoder, Level};

use super::Transcoder;
use super::sample::is_hopeless;
use super::source_order::is_readable_through_pipe;
use crate::cache::CachedReference;
use crate::domain::packing::RefPacking;
use crate::domain::{BackgroundHasher, Sha256Digest, Sha256Hasher, Sketch};
use crate::service::blocking::{self, Cancelled};
use crate::service::error::ServiceError;
use crate::service::payload::Payload;
use crate::service::spool::Spool;

/// The number of bytes of the reference that the verifying decoder caches. More would save it few
/// reads: a tar of 118 MB is decoded from 148 MB of its reference, and from 144 MB with 32 MiB.
const VERIFIED_SOURCE: u64 = 8 << 20;

/// The result of encoding a file.
pub(crate) struct Encoded {
    /// The SHA-256 of the bytes that the encoder read.
    pub(crate) digest: Sha256Digest,
    /// The delta; `None` if it would exceed its limit.
    pub(crate) delta: Option<Payload>,
}

/// Returns the options the Python tool uses with xdelta3: level 9 with LZMA. The application header
/// has no names, since the key alone decides the name, and is there only if the reference is
/// packed: then it has the letter of the compression, as xdelta3 3.0.11 writes it.
fn options(target_len: u64, packing: Option<RefPacking>) -> EncodeOptions {
    let mut options = EncodeOptions::at_level(Level::BEST);
    options.target_len = Some(target_len);
    options.application_header =
        packing.map(|packing| format!("///{}", packing.form.letter()).into_bytes());
    options
}

/// A delta to make.
#[derive(Clone)]
pub(crate) struct Encode {
    /// The file.
    pub(crate) file: Payload,
    /// The content of the reference.
    pub(crate) reference: CachedReference,
    /// The packing of the reference.
    pub(crate) packing: Option<RefPacking>,
    /// The maximum length of the delta in bytes.
    pub(crate) limit: u64,
}

impl Transcoder {
    /// Encodes a file, stops once the delta exceeds its limit, and decodes the delta to verify it.
    pub(crate) async fn encode(&self, encode: Encode) -> Result<Encoded, ServiceError> {
        let permit = self.permits.encoder().await;
        let folder = self.spool_dir.clone();
        blocking::run(move |cancelled| {
            // Dropped by the thread that uses the memory, even after the future was cancelled.
            let permit = permit;
            let Encode { file, reference, .. } = &encode;
            let (encoded, decoded) = Verifier::beside(reference, file.len(), |verifier| {
                encode.run(permit.threads(), Spool::new(&folder), verifier, cancelled)
            });
            let encoded = encoded?;
            if encoded.delta.is_some() && decoded != Some(encoded.digest) {
                return Err(ServiceError::RoundTrip(file.name().to_owned()));
            }
            Ok(encoded)
        })
        .await
    }

    /// Reads a file once for its digest, its sketch and its delta against itself, and a second time
    /// to verify that delta by decoding it.
    pub(crate) async fn encode_itself(
        &self,
        file: &Payload,
        packing: Option<RefPacking>,
    ) -> Result<OwnDelta, ServiceError> {
        let permit = self.permits.encoder().await;
        let (file, folder) = (file.clone(), self.spool_dir.clone());
        blocking::run(move |cancelled| {
            let _permit = permit;
            let itself: CachedReference = Arc::new(file.clone());
            let (own, decoded) = Verifier::beside(&itself, file.len(), |verifier| {
                encode_itself_blocking(&file, packing, Spool::new(&folder), verifier, cancelled)
            });
            let own = own?;
            if decoded != Some(own.digest) {
                return Err(ServiceError::RoundTrip(file.name().to_owned()));
            }
            Ok(own)
        })
        .await
    }
}

/// The digest, sketch and delta of a file that becomes a reference.
pub(crate) struct OwnDelta {
    pub(crate) digest: Sha256Digest,
    pub(crate) sketch: Sketch,
    /// The delta of the file against itself.
    pub(crate) delta: Payload,
}

fn encode_itself_blocking(
    file: &Payload,
    packing: Option<RefPacking>,
    spool: Spool,
    verifier: Verifier,
    cancelled: &Cancelled,
) -> Result<OwnDelta, ServiceError> {
    let failed = |source| ServiceError::Encode { what: file.name().to_owned(), source };
    let name = format!("the delta of {}", file.name());
    let mut made = Made { spool, verifier };
    let mut encoder = Encoder::identical(&options(file.len(), packing)).map_err(failed)?;
    let mut out = Vec::new();
    let (digest, sketch) = file.sketch_and(cancelled, |mut piece| {
        while !piece.is_empty() {
            let taken = encoder.push(piece, &mut out).map_err(failed)?;
            piece = piece.get(taken..).unwrap_or_default();
            made.take(&mut out, &name)?;
        }
        Ok(())
    })?;
    encoder.finish(&mut out).map_err(failed)?;
    made.take(&mut out, &name)?;
    Ok(OwnDelta { digest, sketch, delta: made.finish(&name)? })
}

/// A delta in the making.
struct Made {
    spool: Spool,
    verifier: Verifier,
}

impl Made {
    /// Takes bytes of the delta `name`.
    fn take(&mut self, delta: &mut Vec<u8>, name: &str) -> Result<(), ServiceError> {
        if !delta.is_empty() {
            self.spool.write_all(delta).map_err(ServiceError::local(name))?;
            self.verifier.take(std::mem::take(delta));
        }
        Ok(())
    }

    fn finish(self, name: &str) -> Result<Payload, ServiceError> {
        self.verifier.end();
        let len = self.spool.len();
        let bytes = self.spool.finish().map_err(ServiceError::local(name))?;
        Ok(Payload::of(name, len, Arc::new(bytes)))
    }
}

impl Encode {
    fn run(
        &self,
        threads: usize,
        spool: Spool,
        verifier: Verifier,
        cancelled: &Cancelled,
    ) -> Result<Encoded, ServiceError> {
        let Self { file, reference, packing, limit } = self;
        let failed = |source| ServiceError::Encode { what: file.name().to_owned(), source };
        let name = format!("the delta of {}", file.name());
        let options = options(file.len(), *packing).with_threads(threads);
        let hopeless = is_hopeless(file, reference, *limit, cancelled)
            .map_err(ServiceError::local(file.name()))?;
        let mut encoder = match hopeless {
            true => None,
            false => Some(Encoder::new(Some(reference.clone()), &options).map_err(failed)?),
        };
        let mut made = Made { spool, verifier };
        let mut hasher = BackgroundHasher::default();
        let mut out = Vec::new();
        file.read(cancelled, |mut piece| {
            hasher.update(piece);
            while !piece.is_empty() {
                // Past the limit, and without hope, the rest is read for its digest alone.
                let Some(running) = &mut encoder else { break };
                let taken = running.push(piece, &mut out).map_err(failed)?;
                piece = piece.get(taken..).unwrap_or_default();
                if made.spool.len() + out.len() as u64 > *limit {
                    encoder = None;
                    break;
                }
                made.take(&mut out, &name)?;
            }
            Ok::<_, ServiceError>(())
        })?;
        let digest = hasher.finish();
        let Some(encoder) = encoder else { return Ok(Encoded { digest, delta: None }) };
        encoder.finish(&mut out).map_err(failed)?;
        if made.spool.len() + out.len() as u64 > *limit {
            return Ok(Encoded { digest, delta: None });
        }
        made.take(&mut out, &name)?;
        let delta = made.finish(&name)?;
        if packing.is_some() && !readable_by_xdelta3(&delta)? {
            tracing::warn!(%name, "xdelta3 3.0.11 could not read the delta; it is not stored");
            return Ok(Encoded { digest, delta: None });
        }
        Ok(Encoded { digest, delta: Some(delta) })
    }
}

fn readable_by_xdelta3(delta: &Payload) -> Result<bool, ServiceError> {
    is_readable_through_pipe(delta).map_err(|_| ServiceError::RoundTrip(delta.name().to_owned()))
}

/// The side of the encoder that passes on a delta to be decoded on another thread.
///
/// The spool returns the bytes written to it or an error, so what is decoded is what is stored.
struct Verifier {
    pieces: SyncSender<Option<Vec<u8>>>,
}

impl Verifier {
    /// Runs `encode` beside a thread that decodes its delta. Returns also the digest of the decoded
    /// file, if the delta was whole, could be decoded and has a file of `target_len` bytes.
    fn beside<T>(
        reference: &CachedReference,
        target_len: u64,
        encode: impl FnOnce(Self) -> T,
    ) -> (T, Option<Sha256Digest>) {
        // A piece waits for its turn in the encoder, so that no more than one is in memory.
        let (pieces, received) = sync_channel(0);
        thread::scope(|scope| {
            let decoded = scope.spawn(|| decoded_digest(received, reference, target_len));
            let encoded = encode(Self { pieces });
            match decoded.join() {
                Ok(decoded) => (encoded, decoded),
                Err(panicked) => std::panic::resume_unwind(panicked),
            }
        })
    }

    fn take(&self, piece: Vec<u8>) {
        // The thread ends early when the delta cannot be decoded, and says so by its result.
        let _ = self.pieces.send(Some(piece));
    }

    /// Reports that the delta is whole.
    fn end(self) {
        let _ = self.pieces.send(None);
    }
}

/// Returns the digest of the decoded delta; `None` if it is not whole, cannot be decoded or has
/// another length.
fn decoded_digest(
    pieces: Receiver<Option<Vec<u8>>>,
    reference: &CachedReference,
    target_len: u64,
) -> Option<Sha256Digest> {
    let mut decoder = Decoder::new(Some(reference.clone()), &decode_options(target_len));
    let mut hasher = Sha256Hasher::default();
    let mut out = Vec::new();
    while let Some(piece) = pieces.recv().ok()? {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let taken = decoder.push(rest, &mut out).ok()?;
            rest = rest.get(taken..).unwrap_or_default();
            hasher.update(&out);
            out.clear();
        }
    }
    let summary = decoder.finish().ok()?;
    (summary.target_len == target_len).then(|| hasher.finish())
}

/// Returns the options to decode a delta whose file has `target_len` bytes.
fn decode_options(target_len: u64) -> DecodeOptions {
    let mut options = DecodeOptions::default();
    options.limits.target = Some(target_len);
    options.limits.source_cache = VERIFIED_SOURCE;
    options
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use deltaglider_vcdiff::Source;

    use super::*;
    use crate::cache::WorkingCopies;
    use crate::domain::policy::Policy;
    use crate::domain::{BucketName, Key, ObjectName};
    use crate::service::transcode::sample::tests::noise;
    use crate::service::{DeltaService, PutOptions, Settings, StoredAs};
    use crate::storage::{BucketAdmin as _, MemoryStore};

    /// A source that counts the bytes read from it.
    struct Counting {
        bytes: Vec<u8>,
        read: AtomicU64,
    }

    impl Source for Counting {
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.bytes.read_at(offset, buf)?;
            self.read.fetch_add(n as u64, Ordering::Relaxed);
            Ok(n)
        }

        fn len(&self) -> Option<u64> {
            Some(self.bytes.len() as u64)
        }
    }

    #[tokio::test]
    async fn put_reads_file_at_most_thrice() {
        const LEN: usize = 9 << 20;
        let (folder, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::new()));
        let bucket = BucketName::new("bucket").unwrap();
        store.create_bucket(&bucket).await.unwrap();
        let settings = Settings { policy: Policy::default(), spool_dir: folder.path().to_owned() };
        let cache = Arc::new(WorkingCopies::new(folder.path().to_owned()));
        let service = DeltaService::new(store, cache, settings);
        let put = async |name: &str, bytes: Vec<u8>| {
            let counting = Arc::new(Counting { bytes, read: AtomicU64::new(0) });
            let file = Payload::of(name, LEN as u64, counting.clone());
            let object = ObjectName::new(bucket.clone(), Key::new(name).unwrap());
            let options = PutOptions { delta: name != "direct.zip", ..PutOptions::default() };
            let report = service.put(&file, &object, &options).await.unwrap();
            (report.stored_as, counting.read.load(Ordering::Relaxed) as f64 / LEN as f64)
        };
        let (first, passes) = put("a-1.zip", noise(7, LEN)).await;
        // One pass for digest, sketch and delta, one for the upload, one to verify the delta.
        assert!(first == StoredAs::Reference && passes < 3.1, "{first:?} in {passes} passes");
        let mut second = noise(7, LEN);
        second[5_000_000] ^= 1;
        let (second, passes) = put("a-2.zip", second).await;
        assert!(second == StoredAs::Delta && passes < 1.1, "{second:?} in {passes} passes");
        let (direct, passes) = put("direct.zip", noise(7, LEN)).await;
        assert!(
            matches!(direct, StoredAs::Direct(_)) && passes < 2.1,
            "{direct:?} in {passes} passes"
        );
    }
}
