//! The conformance suite over HTTP: on the model store behind a real socket, and on s3s-fs with its named weaknesses.

use deltaglider::storage::S3Store;
use deltaglider::storage::conformance::{Capabilities, run_one};
use s3_server::Server;

/// On the model store, which is as exact as S3.
mod model {
    use super::*;

    fn capabilities() -> Capabilities {
        Capabilities::full().without("only a space", "the AWS SDK takes a key of white space alone for none")
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
