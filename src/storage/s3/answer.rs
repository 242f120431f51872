//! Limits on the store's answers: a maximum size, a minimum rate, and only complete XML.
//!
//! The parser of the SDK accepts a truncated document. A page that ends between two entries would
//! be read as the whole listing, so each document is checked to the end of its root element before
//! it is parsed.

use std::fmt;
use std::future::Future as _;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use xmlparser::{ElementEnd, Token, Tokenizer};

use super::MinRate;

/// The maximum size in bytes of an answer that is not an object. A page of 1000 keys of 1024 bytes,
/// each byte encoded as three characters, has 4 MiB.
const MAX_ANSWER: u64 = 16 << 20;
/// The maximum size of the body of an error, in bytes.
const MAX_ERROR: u64 = 1 << 20;
/// The maximum depth of elements in an answer. S3's answers have at most six levels.
const MAX_DEPTH: usize = 64;
/// The number of checks of a slow answer in the time over which its rate is measured.
const TICKS: u32 = 60;

/// Calls that answer with an XML document on success.
const WITH_XML: [&str; 11] = [
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateMultipartUpload",
    "GetBucketAcl",
    "GetBucketLifecycleConfiguration",
    "GetObjectTagging",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjects",
    "ListObjectsV2",
    "UploadPartCopy",
];

/// Calls whose answer the store may start at once and extend by spaces while it works. The time
/// limit of the attempt applies to them.
const AT_WORK: [&str; 3] = ["CompleteMultipartUpload", "CopyObject", "UploadPartCopy"];

/// Limits the body of each answer before it is read.
#[derive(Debug)]
pub(super) struct LimitAnswers(pub(super) MinRate);

#[dyn_dispatch_hint]
impl Intercept for LimitAnswers {
    fn name(&self) -> &'static str {
        "LimitAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map_or("", Metadata::name);
        let is_success = context.response().status().is_success();
        let limit = match operation {
            _ if !is_success => Some(MAX_ERROR),
            "GetObject" => None,
            _ => Some(MAX_ANSWER),
        };
        let document = (is_success && WITH_XML.contains(&operation)).then(Vec::new);
        let body = mem::replace(context.response_mut().body_mut(), SdkBody::taken());
        let pace = (!AT_WORK.contains(&operation)).then(|| Pace::new(self.0));
        let body = LimitedBody { body, limit, read: 0, document, ended: false, pace };
        *context.response_mut().body_mut() = SdkBody::from_body_1_x(body);
        Ok(())
    }
}

/// A body that fails when it exceeds its limits.
struct LimitedBody {
    body: SdkBody,
    limit: Option<u64>,
    read: u64,
    /// The bytes of an XML document read so far.
    document: Option<Vec<u8>>,
    ended: bool,
    pace: Option<Pace>,
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(pace) = &mut this.pace {
            pace.resume();
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending => match &mut this.pace {
                Some(pace) => pace.poll_wait(cx).map(|error| Some(Err(error.into()))),
                None => Poll::Pending,
            },
            Poll::Ready(Some(Ok(frame))) => {
                let len = frame.data_ref().map_or(0, |piece| piece.len() as u64);
                this.read = this.read.saturating_add(len);
                if let Some(pace) = &mut this.pace {
                    pace.count(len);
                }
                if let Some(limit) = this.limit
                    && this.read > limit
                {
                    return Poll::Ready(Some(Err(AnswerError::TooLong(limit).into())));
                }
                if let (Some(document), Some(piece)) = (&mut this.document, frame.data_ref()) {
                    document.extend_from_slice(piece);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) if !mem::replace(&mut this.ended, true) => match &this.document {
                Some(document) => {
                    Poll::Ready(check_document(document).err().map(|error| Err(error.into())))
                }
                None => Poll::Ready(None),
            },
            ready => ready,
        }
    }

    fn is_end_stream(&self) -> bool {
        // A document is checked at its end, so the end must be polled.
        self.document.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.body)
    }
}

/// The reason why an answer is rejected.
#[derive(Debug, PartialEq, Eq)]
enum AnswerError {
    /// It has more bytes than this.
    TooLong(u64),
    /// Its rate is lower than this.
    TooSlow(MinRate),
    /// It is not UTF-8.
    Encoding,
    /// It is not XML.
    Syntax(xmlparser::Error),
    /// An end tag does not match its start tag.
    WrongEnd,
    /// Its elements are nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// The document ends inside its root element, or has none, after this many bytes.
    CutShort(usize),
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "it exceeds the limit of {} MiB", limit >> 20),
            Self::TooSlow(MinRate { bytes_per_second, over }) => {
                write!(
                    f,
                    "it came at less than {bytes_per_second} bytes a second over {} s",
                    over.as_secs_f32()
                )
            }
            Self::Encoding => f.write_str("it is not UTF-8"),
            Self::Syntax(error) => write!(f, "it is not XML: {error}"),
            Self::WrongEnd => f.write_str("it is not XML: an end tag does not match its start tag"),
            Self::TooDeep => write!(f, "its elements are nested deeper than {MAX_DEPTH}"),
            Self::CutShort(len) => {
                write!(
                    f,
                    "it was cut short: the XML ends inside its root element, after {len} bytes"
                )
            }
        }
    }
}

impl std::error::Error for AnswerError {}

/// Checks that a document is well-formed to the end of its root element. Ignores the rest, as the
/// SDK does, which uses the same tokenizer.
fn check_document(document: &[u8]) -> Result<(), AnswerError> {
    let text = std::str::from_utf8(document).map_err(|_| AnswerError::Encoding)?;
    let mut open = Vec::new();
    for token in Tokenizer::from(text) {
        match token.map_err(AnswerError::Syntax)? {
            Token::ElementStart { .. } if open.len() == MAX_DEPTH => {
                return Err(AnswerError::TooDeep);
            }
            Token::ElementStart { prefix, local, .. } => {
                open.push((prefix.as_str(), local.as_str()))
            }
            Token::ElementEnd { end: ElementEnd::Open, .. } => {}
            Token::ElementEnd { end, .. } => {
                let begun = open.pop();
                if let ElementEnd::Close(prefix, local) = end
                    && begun != Some((prefix.as_str(), local.as_str()))
                {
                    return Err(AnswerError::WrongEnd);
                }
                if open.is_empty() {
                    return Ok(());
                }
            }
            _ => {}
        }
    }
    Err(AnswerError::CutShort(document.len()))
}

/// Measures the rate of a body over the time spent waiting for it: time in which the reader does
/// other work is not the store's fault.
struct Pace {
    least: MinRate,
    /// Bytes since the rate was last sufficient; `waited` is the time waited for them.
    bytes: u64,
    waited: Duration,
    /// The time of the last check during the current wait.
    waiting_since: Option<Instant>,
    tick: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(least: MinRate) -> Self {
        Self { least, bytes: 0, waited: Duration::ZERO, waiting_since: None, tick: None }
    }

    /// Adds the time since the last check. A check is due each tick, so more than two ticks mean
    /// that the reader did other work.
    fn resume(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed().min(self.tick() * 2);
        }
    }

    fn count(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        let expected =
            u128::from(self.least.bytes_per_second).saturating_mul(self.least.over.as_millis());
        if u128::from(self.bytes) * 1000 >= expected {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        }
    }

    fn tick(&self) -> Duration {
        self.least.over / TICKS
    }

    /// Waits for the next check of the body; ready if the rate is too low.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<AnswerError> {
        if self.waited >= self.least.over {
            return Poll::Ready(AnswerError::TooSlow(self.least));
        }
        let now = Instant::now();
        self.waiting_since = Some(now);
        let due = now + self.tick();
        let tick = self.tick.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        tick.as_mut().reset(due);
        if tick.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_xml_is_rejected() {
        for whole in [
            "<a/>",
            "<?xml version=\"1.0\"?>\n<a x='1'><b>1 &lt; 2</b><c/></a>\n",
            "<?xml version=\"1.0\"?>\n \n<s:a xmlns:s='u'><s:b/><!-- > --><![CDATA[</s:a>]]></s:a>",
            "<a></a>after",
        ] {
            assert_eq!(check_document(whole.as_bytes()), Ok(()), "{whole}");
        }
        for cut in [
            "",
            " ",
            "<?xml version=\"1.0\"?>",
            "<a>",
            "<a><b></b>",
            "<a><b>text",
            "<a></b></a>",
            "<a",
            "text",
            "</a>",
        ] {
            assert!(check_document(cut.as_bytes()).is_err(), "{cut}");
        }
        assert_eq!(check_document(b"<a>\xff</a>"), Err(AnswerError::Encoding));
        assert_eq!(check_document("<a>".repeat(100).as_bytes()), Err(AnswerError::TooDeep));
        let page = "<a><b><c>1</c></b><b><c>2</c></b></a>";
        for end in 0..page.len() {
            assert!(check_document(&page.as_bytes()[..end]).is_err(), "{}", &page[..end]);
        }
    }
}
