//! The conformance suite over HTTP: on the model store behind a real socket, and on s3s-fs with its
//! named exemptions.

use deltaglider::storage::S3Store;
use deltaglider::storage::conformance::{Capabilities, run_one};
use s3_server::Server;

/// On the model store, which is as exact as S3.
mod model {
    use super::*;

    fn capabilities() -> Capabilities {
        Capabilities::full()
            .without("only a space", "the AWS SDK treats a key of white space only as missing")
    }

    macro_rules! tests {
        ($($check:ident,)*) => {$(
            #[tokio::test]
            async fn $check() {
                let name = stringify!($check);
                let server = Server::memory().unwrap();
                let store = S3Store::connect(server.config()).await.unwrap();
                if let Err(failure) = run_one(name, &store, &capabilities()).await {
                    panic!("{name}: {failure}");
                }
            }
        )*};
    }
    deltaglider::for_each_storage_check!(tests);
}

/// On s3s-fs, which maps keys to paths, does not check conditions atomically, and has the other
/// weaknesses named here.
mod folder {
    use super::*;

    const PATHS: &str =
        "keys are paths: no object where a directory is, no empty, overlong or dot segment";
    const ENCODING: &str = "lists say that keys are URL-encoded and do not encode them";
    const RACE: &str = "conditions are checked before the write, not atomically";

    fn capabilities() -> Capabilities {
        let mut capabilities = Capabilities::full()
            .without("only a space", "the AWS SDK treats a key of white space only as missing")
            .without("a_bucket_with_an_object_stays", "deletes buckets that are not empty")
            .without("missing_bucket_is_reported", "answers NoSuchKey when the bucket is missing")
            .without("a_delimiter_is_any_text", "takes only the first character of a delimiter")
            .without("delete_if_match_checks_the_tag", "ignores the condition of a delete")
            .without("racing_put_and_delete_one_wins", "ignores the condition of a delete")
            .without("racing_creates_have_one_winner", RACE)
            .without("racing_updates_have_one_winner", RACE)
            .without("list_and_head_agree", "listings have no tags")
            .without("a_storage_class_comes_back", "refuses every class but STANDARD")
            .without("encryption_comes_back", "reports no encryption")
            .without("tags_are_read_apart", "does not support tags")
            .without("copy_keeps_class_and_tags", "refuses every class but STANDARD")
            .without("copy_can_replace_attributes", "refuses every class but STANDARD");
        let of_paths = [
            "a_delimiter_rolls_up_folders",
            "a_deleted_object_is_gone",
            "if_absent_creates_once",
            "lists_are_in_byte_order",
            "pages_show_every_entry_once",
            "start_after_is_exclusive",
            "leading slash",
            "only a slash",
            "double slash",
            "leading double slash",
            "trailing slash",
            "trailing double slash",
            "dot dot",
            "dot dot inside",
            "dot",
            "trailing dot",
            "trailing space",
            "a and a/b",
            "1024 bytes of ASCII",
            "1024 bytes in capitals",
            "1024 bytes of non-ASCII",
            "segments over 255 bytes",
            "names of every length around 255",
            "512 folders",
        ];
        for name in of_paths {
            capabilities = capabilities.without(name, PATHS);
        }
        for name in ["plus", "percent", "percent 25", "percent 2F", "percent 00"] {
            capabilities = capabilities.without(name, ENCODING);
        }
        capabilities.without("control characters", "lists with control characters are no XML")
    }

    macro_rules! tests {
        ($($check:ident,)*) => {$(
            #[tokio::test]
            async fn $check() {
                let name = stringify!($check);
                let folder = tempfile::tempdir().unwrap();
                let server = Server::folder_at(folder.path(), 0).unwrap();
                let store = S3Store::connect(server.config()).await.unwrap();
                let exemption = capabilities().exemption(name);
                if exemption.is_some() && name.starts_with("racing_") {
                    // Weak stores may also pass a race by chance.
                    return;
                }
                match (run_one(name, &store, &capabilities()).await, exemption) {
                    (Err(failure), None) => panic!("{name}: {failure}"),
                    (Ok(()), Some(exemption)) => {
                        panic!("{name} passes, yet it is exempted: {}", exemption.reason)
                    }
                    _ => {}
                }
            }
        )*};
    }
    deltaglider::for_each_storage_check!(tests);
}
