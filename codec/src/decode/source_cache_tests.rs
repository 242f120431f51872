//! Tests of the page cache: what it returns, and how much it reads.
#![allow(clippy::arithmetic_side_effects)]

use std::io;
use std::sync::Mutex;

use super::*;

/// A source that counts its reads and computes each byte from its position.
struct Counted {
    len: u64,
    reads: Mutex<Vec<(u64, usize)>>,
}

fn byte_at(position: u64) -> u8 {
    (position % 251) as u8 ^ (position >> 16) as u8
}

impl Source for Counted {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.reads.lock().unwrap().push((offset, buf.len()));
        let got = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        for (index, byte) in buf[..got].iter_mut().enumerate() {
            *byte = byte_at(offset + index as u64);
        }
        Ok(got)
    }

    fn len(&self) -> Option<u64> {
        None
    }
}

fn counted(len: u64) -> Counted {
    Counted { len, reads: Mutex::new(Vec::new()) }
}

/// A cache and the source it reads.
struct Cached<'a> {
    source: &'a Counted,
    cache: SourceCache,
}

impl<'a> Cached<'a> {
    /// Returns a cache for the window of `pages` pages from page 0, of which at most `kept` are
    /// cached.
    fn new(source: &'a Counted, pages: u64, kept: u64) -> Self {
        let cache = SourceCache::new(kept * PAGE as u64, u64::MAX);
        let mut cached = Self { source, cache };
        cached.begin_window(0, pages);
        cached
    }

    fn begin_window(&mut self, first: u64, pages: u64) {
        self.cache.begin_window(self.source, first * PAGE as u64, pages * PAGE as u64);
    }

    fn append(&mut self, offset: u64, len: usize) {
        let mut out = vec![9];
        let mut window = TargetWindow::new(&mut out, len as u64, None).unwrap();
        self.cache.append(self.source, offset, len, &mut window).unwrap();
        let expected: Vec<u8> = (offset..offset + len as u64).map(byte_at).collect();
        assert_eq!(out[1..], expected, "{len} bytes at {offset}");
    }

    fn fault(&mut self, offset: u64, len: usize) -> DecodeErrorKind {
        let mut out = Vec::new();
        let mut window = TargetWindow::new(&mut out, len as u64, None).unwrap();
        self.cache.append(self.source, offset, len, &mut window).unwrap_err().kind
    }
}

fn bytes_read(source: &Counted) -> usize {
    source.reads.lock().unwrap().iter().map(|(_, len)| len).sum()
}

#[test]
fn copies_return_source_bytes() {
    let source = counted(40 * PAGE as u64 + 100);
    for kept in [1, 100] {
        let mut cache = Cached::new(&source, 41, kept);
        for offset in [0, 1, PAGE as u64 - 1, PAGE as u64, 9 * PAGE as u64 - 7] {
            for len in
                [0, 1, 7, 8, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, RUN_LEN - 1, RUN_LEN, RUN_LEN + 1]
            {
                cache.append(offset, len);
            }
        }
        cache.append(40 * PAGE as u64 + 1, 99);
    }
}

#[test]
fn window_that_fits_is_read_once() {
    let source = counted(1000 * PAGE as u64);
    let mut cache = Cached::new(&source, 1000, 1000);
    for number in 0..30_000u64 {
        cache.append(number * 7919 % 1000 * PAGE as u64 + number % 4000, 24);
    }
    // The first page of each run was read alone.
    assert!(
        bytes_read(&source) <= 1000 * PAGE + 1000usize.div_ceil(RUN) * PAGE,
        "{}",
        bytes_read(&source)
    );
    assert_eq!(cache.cache.pages.places(), 1000);
}

/// A short copy reads no more than its own page if pages of the copy window are evicted.
#[test]
fn short_copies_read_single_pages() {
    let source = counted(100_000 * PAGE as u64);
    let mut cache = Cached::new(&source, 100_000, 64);
    for number in 0..1000u64 {
        cache.append(number * 7919 % 100_000 * PAGE as u64 + 5, 24);
    }
    assert_eq!(bytes_read(&source), 1000 * PAGE);
    // Consecutive copies read ahead.
    source.reads.lock().unwrap().clear();
    for number in 0..160u64 {
        cache.append((RUN as u64 + number) * PAGE as u64, 24);
    }
    assert!(source.reads.lock().unwrap().len() <= 11);
}

#[test]
fn first_page_is_evicted_first() {
    let source = counted(1000 * PAGE as u64);
    let mut cache = Cached::new(&source, 1000, 40);
    let kept = cache.cache.pages.limit();
    for page in (0..kept).rev() {
        cache.append(page * PAGE as u64, 10);
    }
    assert_eq!(source.reads.lock().unwrap().len() as u64, kept);
    cache.append(50 * PAGE as u64, 10);
    assert_eq!(source.reads.lock().unwrap().len() as u64, kept + 1);
    for page in (0..kept - 1).rev() {
        cache.append(page * PAGE as u64, 10);
    }
    assert_eq!(source.reads.lock().unwrap().len() as u64, kept + 1);
    cache.append((kept - 1) * PAGE as u64, 10);
    assert_eq!(source.reads.lock().unwrap().len() as u64, kept + 2);
    assert_eq!(cache.cache.pages.places(), kept);
}

#[test]
fn pages_of_the_window_stay() {
    let source = counted(1000 * PAGE as u64);
    let mut cache = Cached::new(&source, 200, 200);
    for start in [0, 100, 200, 57, 400] {
        cache.begin_window(start, 200);
        for _ in 0..3 {
            for page in 0..200 {
                cache.append((start + page * 77 % 200) * PAGE as u64, 10);
            }
        }
        let first = bytes_read(&source);
        for page in start..start + 200 {
            cache.append(page * PAGE as u64, 10);
        }
        assert_eq!(bytes_read(&source), first, "from page {start}");
    }
    assert!(cache.cache.pages.places() <= 201);
}

#[test]
fn longer_window_keeps_pages() {
    let source = counted(10_000 * PAGE as u64);
    let mut cache = Cached::new(&source, 0, 1000);
    for pages in [20, 50, 400, 1000, 5000] {
        cache.begin_window(0, pages);
        for page in 0..20 {
            cache.append(page * PAGE as u64 + 9, 24);
        }
    }
    assert!(bytes_read(&source) <= 20 * PAGE + 12 * PAGE, "{}", bytes_read(&source));
    assert!(cache.cache.pages.places() <= 1001);
}

#[test]
fn too_short_source_names_its_end() {
    let source = counted(RUN_LEN as u64 + 10);
    let mut cache = Cached::new(&source, 40, 40);
    for (offset, len) in [(RUN_LEN as u64, 11), (5, RUN_LEN + 6), (RUN_LEN as u64 - 9, 20)] {
        let kind = cache.fault(offset, len);
        let needed = offset + len as u64;
        assert_eq!(
            kind,
            DecodeErrorKind::SourceTooShort { needed, available: RUN_LEN as u64 + 10 }
        );
    }
}

/// The limit counts cached and uncached pages alike.
#[test]
fn touched_pages_are_limited() {
    let source = counted(1000 * PAGE as u64);
    for kept in [1, 1000] {
        let cache = SourceCache::new(kept * PAGE as u64, 3 * PAGE as u64);
        let mut cache = Cached { source: &source, cache };
        for _ in 0..2 {
            cache.begin_window(0, 1000);
            cache.append(0, 2 * PAGE);
            cache.append(2 * PAGE as u64 - 1, 1); // the page of the last copy
            cache.append(0, 1);
            let kind = cache.fault(5, PAGE);
            let (asked, allowed) = (4 * PAGE as u64, 3 * PAGE as u64);
            assert_eq!(kind, DecodeErrorKind::Limit { limit: Limit::SourceReads, asked, allowed });
        }
    }
}

/// With other copies between them, and gaps of less than a page.
#[test]
fn sequential_copies_are_read_ahead() {
    let source = counted(20_000 * PAGE as u64);
    for gap in [0, 100, 3000] {
        let mut cache = Cached::new(&source, 10_000, 10_000);
        source.reads.lock().unwrap().clear();
        let mut at = 5;
        let mut others = 0;
        while at < 8000 * PAGE as u64 {
            cache.append(at, 700);
            at += 700 + gap;
            if at % 37 == 0 {
                others += 1;
                cache.append((8100 + at % 17 * 100) * PAGE as u64, 50);
            }
        }
        let reads = source.reads.lock().unwrap().len();
        assert!(reads < 8000 / MAX_AHEAD as usize + 10 + 2 * 17, "{reads} reads, {others} others");
        assert!(bytes_read(&source) < (8000 + MAX_AHEAD as usize + 17 * 2 * RUN) * PAGE);
    }
}

/// Two halves that are merged piece by piece.
#[test]
fn alternating_copies_are_not_read_in_vain() {
    let source = counted(20_000 * PAGE as u64);
    for len in [300, 5000, 50_000, 80_000, 300_000] {
        let mut cache = Cached::new(&source, 20_000, 64);
        source.reads.lock().unwrap().clear();
        let mut at = 0;
        while at < 8000 * PAGE as u64 {
            cache.append(at, len);
            cache.append(at + 10_000 * PAGE as u64, len);
            at += len as u64;
        }
        let read = bytes_read(&source);
        assert!(read < 5 * 8000 * PAGE, "{read} bytes read for copies of {len} bytes");
    }
}

#[test]
fn long_copy_reads_its_pages_only() {
    let source = counted(20_000 * PAGE as u64);
    let mut cache = Cached::new(&source, 20_000, 20_000);
    for start in [7000, 3000, 12_000, 1] {
        source.reads.lock().unwrap().clear();
        cache.append(start * PAGE as u64 + 9, 1000 * PAGE);
        assert_eq!(bytes_read(&source), 1001 * PAGE, "from page {start}");
    }
}

/// Reads stay in the copy window, up to whole pages.
#[test]
fn copy_window_bounds_read_ahead() {
    let source = counted(20_000 * PAGE as u64);
    let mut cache = Cached::new(&source, 1000, 1000);
    for page in 0..1000 {
        cache.append(page * PAGE as u64, PAGE);
    }
    assert_eq!(bytes_read(&source), 1000 * PAGE);
}

/// The smallest cache reads no more ahead than a run.
#[test]
fn small_cache_limits_read_ahead() {
    let source = counted(20_000 * PAGE as u64);
    let mut cache = Cached::new(&source, 20_000, 1);
    for page in 0..1000 {
        cache.append(page * PAGE as u64, PAGE);
    }
    cache.append(1000 * PAGE as u64, 1000 * PAGE);
    assert!(source.reads.lock().unwrap().iter().all(|&(_, len)| len <= RUN_LEN));
}
