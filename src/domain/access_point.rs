//! ARNs of access points, which S3 accepts as the name of a bucket (S3 User Guide, "Access
//! points").

/// The services whose ARNs name access points, and the keywords of their resources, each followed
/// by a name.
const SERVICES: [(&str, &[&str]); 3] = [
    ("s3", &["accesspoint"]),
    ("s3-object-lambda", &["accesspoint"]),
    ("s3-outposts", &["outpost", "accesspoint"]),
];

/// Splits a text into the ARN of an access point at its start and the rest, which is empty or
/// begins with a slash. Returns `None` without such an ARN; multi-region access points, whose ARNs
/// have no region, are not supported.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let mut fields = text.splitn(6, ':');
    let mut field = || fields.next();
    let (arn, partition, service, region, account, resource) =
        (field()?, field()?, field()?, field()?, field()?, field()?);
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if arn != "arn" || !is_label(partition) || !is_label(region) || !is_account {
        return None;
    }
    let (_, words) = SERVICES.iter().find(|(name, _)| *name == service)?;
    let mut rest = resource;
    for (nth, word) in words.iter().enumerate() {
        if nth > 0 {
            rest = rest.strip_prefix(['/', ':'])?;
        }
        rest = rest.strip_prefix(word)?.strip_prefix(['/', ':'])?;
        let (name, behind) = rest.split_at(rest.find(['/', ':']).unwrap_or(rest.len()));
        if !is_label(name) {
            return None;
        }
        rest = behind;
    }
    let arn = text.strip_suffix(rest)?;
    (rest.is_empty() || rest.starts_with('/')).then_some((arn, rest))
}

/// Returns whether a text can be the name of a partition, a region or an access point.
fn is_label(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_ends_with_the_access_point() {
        for arn in [
            "arn:aws:s3:us-west-2:123456789012:accesspoint/point",
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:point",
            "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/point",
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/\
             accesspoint/point",
        ] {
            for rest in ["", "/", "/a/b:c", "//x"] {
                assert_eq!(split(&format!("{arn}{rest}")), Some((arn, rest)));
            }
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "bucket",
            "arn:aws:s3:::bucket",
            "arn:aws:s3:us-west-2:123456789012:accesspoint",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/a_b",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/point:more",
            "arn:aws:s3:us-west-2:12345678901:accesspoint/point",
            "arn:aws:s3::123456789012:accesspoint/point.mrap",
            "arn:aws:sqs:us-west-2:123456789012:accesspoint/point",
            "arn:aws:s3-outposts:us-west-2:123456789012:accesspoint/point",
        ] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
