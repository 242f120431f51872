//! Multipart uploads of the model store: parts in memory until they are completed or aborted.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use deltaglider::domain::{ObjectName, Sha256Hasher};
use deltaglider::storage::{Attributes, ETag};
use s3s::dto::CompletedPart;
use s3s::{S3Result, s3_error};

use crate::memory::MIN_PART_SIZE;
use crate::translate::check_customer_key;

#[derive(Default)]
pub(crate) struct Uploads {
    made: u64,
    open: BTreeMap<String, Upload>,
}

struct Upload {
    object: ObjectName,
    attributes: Attributes,
    parts: BTreeMap<i32, (ETag, Vec<Bytes>)>,
    initiated: SystemTime,
}

/// Returns the tag of a part.
pub(crate) fn tag_of(part: &[Bytes]) -> ETag {
    let mut hasher = Sha256Hasher::default();
    part.iter().for_each(|piece| hasher.update(piece));
    ETag(hasher.finish().to_string())
}

impl Uploads {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns keys, ids and start times.
    pub(crate) fn of_bucket(
        &self,
        bucket: &str,
    ) -> impl Iterator<Item = (String, String, SystemTime)> {
        let of_bucket =
            self.open.iter().filter(move |(_, upload)| upload.object.bucket.as_str() == bucket);
        of_bucket.map(|(id, upload)| {
            (upload.object.key.as_str().to_owned(), id.clone(), upload.initiated)
        })
    }

    /// Starts an upload and returns its id.
    pub(crate) fn create(&mut self, object: ObjectName, attributes: Attributes) -> String {
        self.made += 1;
        let id = format!("upload-{}", self.made);
        self.open.insert(
            id.clone(),
            Upload { object, attributes, parts: BTreeMap::new(), initiated: SystemTime::now() },
        );
        id
    }

    fn upload(&mut self, object: &ObjectName, id: &str) -> S3Result<&mut Upload> {
        self.open
            .get_mut(id)
            .filter(|upload| upload.object == *object)
            .ok_or_else(|| s3_error!(NoSuchUpload))
    }

    /// Stores a part, which must come with the customer's key of the upload, if that has one.
    pub(crate) fn put_part(
        &mut self,
        object: &ObjectName,
        id: &str,
        number: i32,
        (etag, pieces): (ETag, Vec<Bytes>),
        customer_key: Option<&str>,
    ) -> S3Result<ETag> {
        if !(1..=10_000).contains(&number) {
            return Err(s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        let upload = self.upload(object, id)?;
        check_customer_key(customer_key, &upload.attributes)?;
        upload.parts.insert(number, (etag.clone(), pieces));
        Ok(etag)
    }

    /// Assembles the object from the named parts and returns it with its tag, which is made of the
    /// parts' tags, and its attributes. The upload stays open.
    pub(crate) fn assemble(
        &mut self,
        object: &ObjectName,
        id: &str,
        named: &[CompletedPart],
    ) -> S3Result<(Vec<Bytes>, ETag, Attributes)> {
        let upload = self.upload(object, id)?;
        let (mut whole, mut tags) = (Vec::new(), Sha256Hasher::default());
        let mut before = 0;
        for (index, part) in named.iter().enumerate() {
            let number = part.part_number.unwrap_or_default();
            if number <= before {
                return Err(s3_error!(InvalidPartOrder));
            }
            before = number;
            let (etag, pieces) = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
            if part.e_tag.as_ref().map(|etag| etag.value()) != Some(etag.0.as_str()) {
                return Err(s3_error!(InvalidPart));
            }
            let len: usize = pieces.iter().map(Bytes::len).sum();
            if (len as u64) < MIN_PART_SIZE && index + 1 < named.len() {
                return Err(s3_error!(EntityTooSmall));
            }
            whole.extend_from_slice(pieces);
            tags.update(etag.0.as_bytes());
        }
        if named.is_empty() {
            Err(s3_error!(MalformedXML))
        } else {
            let tag = ETag(format!("{}-{}", tags.finish(), named.len()));
            Ok((whole, tag, upload.attributes.clone()))
        }
    }

    pub(crate) fn remove(&mut self, object: &ObjectName, id: &str) -> S3Result<()> {
        self.upload(object, id)?;
        self.open.remove(id);
        Ok(())
    }
}
