//! The conformance suite on the embedded store, one test per check.

use deltaglider::storage::DirStore;
use deltaglider::storage::conformance::{Capabilities, run_one};

macro_rules! tests {
    ($($check:ident,)*) => {$(
        #[tokio::test]
        async fn $check() {
            let name = stringify!($check);
            let folder = tempfile::tempdir().unwrap();
            let store = DirStore::open(folder.path()).unwrap();
            if let Err(failure) = run_one(name, &store, &Capabilities::full()).await {
                panic!("{name}: {failure}");
            }
        }
    )*};
}
deltaglider::for_each_storage_check!(tests);
