//! The encoder and decoder as `Read` and `Write`, with inner streams that fail or are slow.
use std::collections::VecDeque;
use std::io::{self, Read, Write};

use crate::support::inputs;
use crate::support::random::Random;
use deltaglider_vcdiff::{
    DecodeError, DecodeErrorKind, DecodeOptions, DecodeReader, DecodeWriter, EncodeError,
    EncodeOptions, EncodeReader, EncodeWriter, SeekSource, Source, StreamError, decode_stream,
    encode, encode_stream,
};

/// A stream that reads and writes a few bytes at a time, and is interrupted every third time.
struct Slow<T> {
    inner: T,
    calls: usize,
}

impl<T> Slow<T> {
    fn new(inner: T) -> Self {
        Self { inner, calls: 0 }
    }

    fn next(&mut self, len: usize) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(len.min(1 + self.calls % 1009))
    }
}

impl<T: Read> Read for Slow<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.next(buf.len())?;
        self.inner.read(&mut buf[..len])
    }
}

impl<T: Write> Write for Slow<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = self.next(buf.len())?;
        self.inner.write(&buf[..len])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("unplugged"))
    }
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("unplugged"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pair() -> (Vec<u8>, Vec<u8>) {
    let mut random = Random::new(21);
    let old = inputs::bytes(&mut random, 200_000);
    let new = [inputs::edited(&mut random, &old), inputs::bytes(&mut random, 100_000)].concat();
    (old, new)
}

fn options(target: &[u8]) -> EncodeOptions {
    let mut options = EncodeOptions::default();
    options.window = 1 << 15;
    options.target_len = Some(target.len() as u64);
    options
}

#[test]
fn all_stream_types_agree() {
    let (old, new) = pair();
    let whole = encode(Some(&old), &new, &options(&new)).unwrap();

    let mut delta = Slow::new(Vec::new());
    let lengths =
        encode_stream(Some(&old), Slow::new(&new[..]), &mut delta, &options(&new)).unwrap();
    assert!(delta.inner == whole);
    assert_eq!(lengths, (new.len() as u64, whole.len() as u64));

    let mut writer = EncodeWriter::new(Some(&old), Slow::new(Vec::new()), &options(&new)).unwrap();
    writer.write_all(&new).unwrap();
    writer.flush().unwrap();
    assert!(writer.finish().unwrap().inner == whole);

    let mut target = Slow::new(Vec::new());
    let summary =
        decode_stream(Some(&old), Slow::new(&whole[..]), &mut target, &DecodeOptions::default())
            .unwrap();
    assert!(target.inner == new);
    assert_eq!((summary.target_len, summary.delta_len), (new.len() as u64, whole.len() as u64));

    let mut reader =
        DecodeReader::new(Some(&old), Slow::new(&whole[..]), &DecodeOptions::default());
    assert!(reader.header().is_none() && reader.summary().is_none());
    let mut target = Vec::new();
    Slow::new(&mut reader).read_to_end(&mut target).unwrap();
    assert!(target == new);
    assert_eq!(reader.summary(), Some(summary));
    assert_eq!(reader.header().unwrap().secondary, Some(2));
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn failed_write_may_be_retried() {
    struct Flaky(VecDeque<bool>, Vec<u8>);
    impl Write for Flaky {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            if self.0.pop_front().unwrap_or(true) {
                self.1.write(&buf[..buf.len().min(10)])
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (old, new) = pair();
    let fails = (0..60).map(|n| n % 4 != 3).collect();
    let mut writer =
        EncodeWriter::new(Some(&old), Flaky(fails, Vec::new()), &options(&new)).unwrap();
    let mut rest = &new[..];
    let mut failures = 0;
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(taken) => rest = &rest[taken..],
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                failures += 1;
            }
        }
    }
    while writer.flush().is_err() {
        failures += 1;
    }
    assert!(failures > 10, "{failures}");
    let whole = encode(Some(&old), &new, &options(&new)).unwrap();
    assert!(writer.finish().unwrap().1 == whole);
}

#[test]
fn stream_error_names_side() {
    let (old, new) = pair();
    let whole = encode(Some(&old), &new, &options(&new)).unwrap();
    let messages = |error: StreamError<DecodeError>| {
        (error.to_string(), std::error::Error::source(&error).unwrap().to_string())
    };
    let input =
        decode_stream(Some(&old), Broken, io::sink(), &DecodeOptions::default()).unwrap_err();
    assert_eq!(messages(input), ("the input cannot be read".to_owned(), "unplugged".to_owned()));
    let output =
        decode_stream(Some(&old), &whole[..], Broken, &DecodeOptions::default()).unwrap_err();
    assert_eq!(
        messages(output),
        ("the output cannot be written".to_owned(), "unplugged".to_owned())
    );
    let codec =
        decode_stream(Some(&old), &whole[1..], io::sink(), &DecodeOptions::default()).unwrap_err();
    assert!(
        matches!(codec, StreamError::Codec(error) if *error.kind() == DecodeErrorKind::NotVcdiff)
    );
    let input = encode_stream(Some(&old), Broken, io::sink(), &options(&new));
    assert!(matches!(input, Err(StreamError::Input(_))));
    let output = encode_stream(Some(&old), &new[..], Broken, &options(&new));
    assert!(matches!(output, Err(StreamError::Output(_))));
    let mut bad = options(&new);
    bad.window = 1;
    let codec = encode_stream(Some(&old), &new[..], io::sink(), &bad);
    assert!(matches!(codec, Err(StreamError::Codec(EncodeError::OutOfRange { .. }))));
}

#[test]
fn truncated_delta_is_an_error() {
    let (old, new) = pair();
    let whole = encode(Some(&old), &new, &options(&new)).unwrap();
    let mut reader =
        DecodeReader::new(Some(&old), &whole[..whole.len() - 1], &DecodeOptions::default());
    let mut target = Vec::new();
    let error = reader.read_to_end(&mut target).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(error.get_ref().unwrap().is::<DecodeError>());
    assert!(new.starts_with(&target) && target.len() < new.len());
    assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(reader.summary().is_none());

    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    let error = DecodeReader::new(Some(&old), &damaged[..], &DecodeOptions::default())
        .read_to_end(&mut target);
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn streams_are_send() {
    fn moves<T: Send + 'static>() {}
    moves::<EncodeWriter<Vec<u8>, Vec<u8>>>();
    moves::<DecodeReader<Vec<u8>, std::fs::File>>();
    moves::<StreamError<EncodeError>>();
}

#[test]
fn all_four_adapters_agree() {
    let (old, new) = pair();
    let options = EncodeOptions::default();
    let mut whole = EncodeWriter::new(Some(&old), Vec::new(), &options).unwrap();
    whole.write_all(&new).unwrap();
    let whole = whole.finish().unwrap();

    let mut reader = EncodeReader::new(Some(&old), Slow::new(&new[..]), &options).unwrap();
    let mut delta = Vec::new();
    reader.read_to_end(&mut delta).unwrap();
    assert!(delta == whole);
    assert!(reader.get_ref().inner.is_empty());
    assert!(reader.into_inner().inner.is_empty());

    let mut writer =
        DecodeWriter::new(Some(&old), Slow::new(Vec::new()), &DecodeOptions::default());
    for piece in delta.chunks(1000) {
        writer.write_all(piece).unwrap();
    }
    writer.flush().unwrap();
    assert!(writer.get_ref().inner == new && writer.header().is_some());
    let (target, summary) = writer.finish().unwrap();
    assert!(target.inner == new);
    assert_eq!((summary.target_len, summary.delta_len), (new.len() as u64, delta.len() as u64));

    let mut reader = DecodeReader::new(Some(&old), &delta[..], &DecodeOptions::default());
    let mut target = vec![0; 100];
    reader.read_exact(&mut target).unwrap();
    assert!(new.starts_with(&target) && <[u8]>::len(reader.get_ref()) < delta.len());
    assert!(delta.ends_with(reader.into_inner()));
}

#[test]
fn writer_rejects_damaged_delta() {
    let (old, new) = pair();
    let mut delta = encode(Some(&old), &new, &EncodeOptions::default()).unwrap();
    let mut cut = DecodeWriter::new(Some(&old), Vec::new(), &DecodeOptions::default());
    cut.write_all(&delta[..delta.len() - 1]).unwrap();
    let StreamError::Codec(error) = cut.finish().unwrap_err() else {
        panic!("the writer did not fail")
    };
    assert!(matches!(error.kind(), DecodeErrorKind::Truncated(_)));
    let middle = delta.len() / 2;
    delta[middle] ^= 1;
    let mut damaged = DecodeWriter::new(Some(&old), Vec::new(), &DecodeOptions::default());
    assert_eq!(damaged.write_all(&delta).unwrap_err().kind(), io::ErrorKind::InvalidData);
    let mut unplugged = DecodeWriter::new(Some(&old), Broken, &DecodeOptions::default());
    let whole = encode(Some(&old), &new, &EncodeOptions::default()).unwrap();
    assert!(unplugged.write_all(&whole).and_then(|()| unplugged.flush()).is_err());
}

#[test]
fn files_and_seekers_are_sources() {
    let (old, new) = pair();
    let path = std::env::temp_dir().join(format!("vcdiff-source-{}", std::process::id()));
    std::fs::write(&path, &old).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let delta = encode(Some(&old), &new, &EncodeOptions::default()).unwrap();
    let decoded = |source: Box<dyn Source>| {
        let mut target = Vec::new();
        decode_stream(Some(source), &delta[..], &mut target, &DecodeOptions::default()).unwrap();
        target
    };
    let seeker = SeekSource::new(io::Cursor::new(old.clone())).unwrap();
    assert_eq!(
        (Source::len(&file), Source::len(&seeker)),
        (Some(old.len() as u64), Some(old.len() as u64))
    );
    let mut end = [0; 9];
    for source in [&file as &dyn Source, &seeker] {
        assert_eq!(source.read_at(old.len() as u64 - 4, &mut end).unwrap(), 4);
        assert!(old.ends_with(&end[..4]));
        assert_eq!(source.read_at(u64::from(u32::MAX), &mut end).unwrap(), 0);
    }
    assert!(seeker.into_inner().into_inner() == old);
    assert!(decoded(Box::new(file)) == new);
    assert!(decoded(Box::new(SeekSource::new(io::Cursor::new(old)).unwrap())) == new);
}
