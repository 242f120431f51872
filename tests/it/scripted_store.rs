//! A store that records its calls, and runs an action of another writer just before a chosen call.

use std::fmt;
use std::sync::{Arc, Mutex};

use deltaglider::storage::{Call, Layer, Run, StorageError, Store};
use futures::future::BoxFuture;

/// A predicate of the calls so far and the next one: whether the action runs now. A call has the
/// form `put a.zip`.
type Moment = dyn Fn(&[String], &str) -> bool + Send + Sync;

/// A store in which another writer acts in the middle of an operation.
pub(crate) struct ScriptedStore {
    inner: Arc<dyn Store>,
    calls: Mutex<Vec<String>>,
    moment: Box<Moment>,
    act: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl ScriptedStore {
    /// Wraps a store and only records its calls.
    pub(crate) fn nothing(inner: &Arc<impl Store + 'static>) -> Arc<Self> {
        Self::at(inner, |_, _| false, async {})
    }

    /// Wraps a store and runs `act` once, before the first call for which `moment` returns `true`.
    pub(crate) fn at(
        inner: &Arc<impl Store + 'static>,
        moment: impl Fn(&[String], &str) -> bool + Send + Sync + 'static,
        act: impl Future<Output = ()> + Send + 'static,
    ) -> Arc<Self> {
        let (calls, act) =
            (Mutex::default(), Mutex::new(Some(Box::pin(act) as BoxFuture<'static, ()>)));
        Arc::new(Self { inner: inner.clone(), calls, moment: Box::new(moment), act })
    }

    /// Returns whether the action has run.
    pub(crate) fn happened(&self) -> bool {
        self.act.lock().unwrap().is_none()
    }

    /// Returns the calls so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Records a call, and runs the action if its moment has come.
    async fn note(&self, call: String) {
        let act = {
            let mut calls = self.calls.lock().unwrap();
            let act =
                if (self.moment)(&calls, &call) { self.act.lock().unwrap().take() } else { None };
            calls.push(call);
            act
        };
        if let Some(act) = act {
            act.await;
        }
    }
}

impl fmt::Debug for ScriptedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedStore")
    }
}

#[async_trait::async_trait]
impl Layer for ScriptedStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn around<'a, T: Send + 'a>(
        &'a self,
        call: Call<'a>,
        run: Run<'a, T>,
    ) -> Result<T, StorageError> {
        let name = match call.operation {
            "ListObjectsV2" => "list",
            "HeadObject" => "head",
            "GetObject" => "get",
            "PutObject" => "put",
            "CopyObject" => "copy",
            "DeleteObject" => "delete",
            "DeleteBucket" => "delete_bucket",
            _ => return run().await,
        };
        let target =
            if name == "delete_bucket" { call.target.to_string() } else { call.key.to_owned() };
        self.note(format!("{name} {target}")).await;
        run().await
    }
}
