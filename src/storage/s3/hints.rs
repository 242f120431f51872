//! Hints for users on rejected requests: the text of answers that are not XML, missing permissions,
//! remedies.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use rustls::CertificateError;

/// S3's code for a conditional write that met a concurrent write: nothing was decided, and the
/// write may be tried again.
pub(super) const CONFLICT: &str = "ConditionalRequestConflict";

/// Returns the start of an answer that is not XML: its title if it is a web page, else its first
/// line.
pub(super) fn first_line(answer: Option<&HttpResponse>) -> Option<String> {
    const SHOWN: usize = 200;
    let text = String::from_utf8_lossy(answer?.body().bytes()?);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with("<?xml") || text.starts_with("<Error") {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len()).and_then(|start| {
        let end = start + lower.get(start..)?.find("</title>")?;
        text.get(start..end)
    });
    let line = title.or_else(|| text.lines().find(|line| !line.trim().is_empty()))?;
    Some(line.trim().chars().take(SHOWN).collect())
}

/// Returns the remedy if an answer redirects to another address. Shows only scheme and host, since
/// the location may hold more.
pub(super) fn elsewhere(
    status: Option<u16>,
    code: Option<&str>,
    location: Option<String>,
) -> Option<String> {
    if !matches!(status, Some(301 | 302 | 303 | 307 | 308))
        || matches!(code, Some("PermanentRedirect" | "TemporaryRedirect"))
    {
        return None;
    }
    let location: http::Uri = location?.parse().ok()?;
    let (scheme, authority) = (location.scheme_str()?, location.authority()?);
    let host = authority.as_str().rsplit('@').next()?;
    Some(format!(
        "the store redirects to {scheme}://{host}: if that is the store, give it as the endpoint"
    ))
}

/// Returns the permissions that a call needs (Service Authorization Reference, "Actions, resources,
/// and condition keys for Amazon S3").
pub(super) fn needs(operation: &str) -> Option<&'static str> {
    Some(match operation {
        // S3 answers 403 for an absent object to callers without permission to list (S3 API
        // reference, HeadObject, "Permissions").
        "GetObject" | "HeadObject" => {
            "this needs s3:GetObject; without s3:ListBucket, \
             an absent object cannot be distinguished from a forbidden one"
        }
        "PutObject" => {
            "this needs s3:PutObject, s3:PutObjectTagging for tags and s3:PutObjectAcl for an ACL"
        }
        "GetObjectTagging" => "this needs s3:GetObjectTagging",
        "CopyObject" => {
            "this needs s3:GetObject for the source and s3:PutObject for the copy, \
             and s3:GetObjectTagging and s3:PutObjectTagging if the source has tags"
        }
        // Amazon S3 User Guide, "How to perform conditional deletes".
        "DeleteObject" => {
            "this needs s3:DeleteObject, and s3:GetObject where the deletion has a condition"
        }
        "ListObjectsV2" | "HeadBucket" => "this needs s3:ListBucket",
        "ListBuckets" => "this needs s3:ListAllMyBuckets",
        "CreateBucket" => "this needs s3:CreateBucket",
        "DeleteBucket" => "this needs s3:DeleteBucket",
        "AbortMultipartUpload" => "this needs s3:AbortMultipartUpload",
        _ => return None,
    })
}

/// Returns the remedy where the store's own message does not name it.
pub(super) fn hint(
    status: Option<u16>,
    code: Option<&str>,
    bucket_region: Option<String>,
) -> Option<String> {
    match (status?, code.unwrap_or_default(), bucket_region) {
        (301 | 307 | 400, _, Some(region)) => {
            Some(format!("the bucket is in the region {region}: give --region {region}"))
        }
        (301, ..)
        | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _) => {
            Some("the bucket is in another region: name it by --region".to_owned())
        }
        (404, "", _) => Some(
            "the answer does not say whether the object exists; \
             check that the endpoint is that of an S3 store"
                .to_owned(),
        ),
        (_, "SecondLevelDomainForbidden", _) => Some("give --addressing-style virtual".to_owned()),
        (_, "RequestTimeTooSkewed", _) => Some("set the clock of this machine".to_owned()),
        (_, "SignatureDoesNotMatch", _) => Some("the secret access key is wrong".to_owned()),
        (_, "ExpiredToken", _) => Some("get new temporary credentials".to_owned()),
        (_, CONFLICT, _) => Some("another write was under way: try again".to_owned()),
        _ => None,
    }
}

/// Returns the remedy if the certificate of a server was rejected; `None` if none was.
pub(super) fn refused_certificate(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(why)) => return Some(hint_of_certificate(why)),
            Some(_) => return None,
            None => {}
        }
        next = match error.downcast_ref::<std::io::Error>() {
            // The source of an io::Error is not the error it holds, but that error's source.
            Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn hint_of_certificate(why: &CertificateError) -> &'static str {
    use CertificateError as Why;
    match why {
        Why::Expired
        | Why::ExpiredContext { .. }
        | Why::NotValidYet
        | Why::NotValidYetContext { .. } => {
            "the certificate of the server is not valid at this time: \
             renew it, or set the clock of this machine"
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            "the certificate of the server is for another host: \
             give the endpoint by a name that is in it"
        }
        Why::BadSignature => "the server does not hold the key of its certificate",
        _ => {
            "the certificate of the server is not trusted: if it is the right one, \
             give it, or that of the authority that signed it, by --ca-bundle FILE"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_hint_names_the_region() {
        let hint =
            hint(Some(301), Some("PermanentRedirect"), Some("eu-west-3".to_owned())).unwrap();
        assert!(hint.contains("--region eu-west-3"), "{hint}");
    }
}
