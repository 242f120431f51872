//! The effect of each of our operations on the buckets, and on the model.

use std::time::Duration;

use deltaglider::domain::{ObjectName, escaped};
use deltaglider::service::{Compare, ListedRemoval, Moved, PutOptions, PutReport, ServiceError};
use deltaglider::storage::ObjectStore as _;

use super::op::{self, Act, Op, Place};
use super::world::{World, bucket, input, object};

impl World {
    pub(crate) async fn act(&mut self, Act { by, op }: &Act) {
        let by = *by;
        match op {
            Op::Put { at, content, delta } => {
                self.put(by, *at, op::content(*content), *delta).await
            }
            Op::PutReserved { at, content } => {
                let name = object(at.0, op::reserved(at.1));
                let file = input(&op::content(*content)).await;
                let put = self.process(by).put(&file, &name, &PutOptions::default()).await;
                assert!(self.stored(&name, op::content(*content), put).await, "{name}");
            }
            Op::Delete { at } => self.delete(by, *at).await,
            Op::DeleteAll { bucket, prefix } => {
                self.delete_all(by, *bucket, op::prefix(*prefix)).await
            }
            Op::Copy { from, to, delta } => {
                let to = object(to.0, op::name(to.1));
                self.copy(by, &self.object(*from), &to, *delta).await;
            }
            Op::CopyToReserved { from, to } => {
                let (from, to) = (self.object(*from), object(to.0, op::reserved(to.1)));
                self.copy(by, &from, &to, true).await;
            }
            Op::Move { from, to } => {
                self.move_file(by, &self.object(*from), &object(to.0, op::name(to.1))).await
            }
            Op::SyncUp { to, compare, remove } => self.sync_up(by, *to, *compare, *remove).await,
            Op::SyncDown { from, compare, remove } => {
                self.sync_down(by, *from, *compare, *remove).await
            }
            Op::SyncAcross { from, to, compare, remove } => {
                self.sync_across(by, *from, *to, *compare, *remove).await
            }
            Op::Migrate { from, to } => {
                self.sync_across(by, *from, *to, Compare::Content, false).await
            }
            Op::Rebase { at } => self.rebase(by, *at).await,
            Op::Repair { bucket } => self.mend(by, *bucket).await,
            Op::WriteLocal { name, content, days } => {
                self.write_local(op::name(*name), op::content(*content), *days);
            }
            Op::RemoveLocal { name } => {
                if self.local.remove(op::name(*name)).is_some() {
                    std::fs::remove_file(self.path(op::name(*name))).unwrap();
                }
            }
            Op::ForeignPut { at, content } => {
                self.foreign_put(&object(at.0, op::unguarded(at.1)), op::content(*content)).await;
            }
            Op::ForeignCopy { from, to } => {
                self.foreign_copy(&self.object(*from), &object(from.0, op::name(*to))).await;
            }
            Op::ForeignDelete { at } => self.foreign_delete(*at).await,
            Op::PythonPut { at, content } => {
                self.python_put(&object(at.0, op::name(at.1)), op::content(*content)).await;
            }
            Op::Pass { minutes } => self.pass(Duration::from_secs(minutes * 60)),
        }
    }

    async fn put(&mut self, by: bool, (second, n): Place, content: Vec<u8>, delta: bool) {
        let name = object(second, op::name(n));
        let options = PutOptions { delta, ..PutOptions::default() };
        let put = self.process(by).put(&input(&content).await, &name, &options).await;
        self.stored(&name, content, put).await;
    }

    /// Records a file that should have been stored under a name. Returns false if it was rejected,
    /// after a check that this was right.
    pub(crate) async fn stored(
        &mut self,
        name: &ObjectName,
        content: Vec<u8>,
        done: Result<PutReport, ServiceError>,
    ) -> bool {
        match done {
            Ok(report) => {
                assert!(report.warnings.is_empty(), "{name}: {:?}", report.warnings);
                assert_eq!(report.size, content.len() as u64, "{name}");
                if escaped::is_needed(&name.key) && !self.escaped.contains_key(name) {
                    self.escaped.insert(name.clone(), self.content(name));
                }
                self.file(name).insert(name.key.to_string(), content);
                true
            }
            Err(error) => {
                assert!(self.is_refused(name, &error).await, "{name}: {error:?}");
                false
            }
        }
    }

    /// Returns whether nothing can be stored under the name, since its key is that of another
    /// file's delta.
    async fn is_refused(&self, name: &ObjectName, error: &ServiceError) -> bool {
        match error {
            ServiceError::Occupied { .. } => {
                let metadata = self.store.head(name).await.unwrap().attributes.metadata;
                name.key.as_str().ends_with(".delta") && metadata.contains_key("dg-ref-key")
            }
            _ => false,
        }
    }

    fn file(&mut self, name: &ObjectName) -> &mut super::world::Files {
        let second = name.bucket == bucket(true);
        self.files(second)
    }

    pub(crate) fn content(&self, name: &ObjectName) -> Option<Vec<u8>> {
        let second = usize::from(name.bucket == bucket(true));
        self.files[second].get(name.key.as_str()).cloned()
    }

    pub(crate) fn set(&mut self, name: &ObjectName, content: Option<Vec<u8>>) {
        match content {
            Some(content) => self.file(name).insert(name.key.to_string(), content),
            None => self.file(name).remove(name.key.as_str()),
        };
    }

    /// Records that the object of a file was removed. If its key was escaped, an object that
    /// another tool left at the name itself is the file now.
    pub(crate) fn removed(&mut self, name: &ObjectName) {
        let left = self.escaped.remove(name).flatten();
        self.set(name, left);
    }

    async fn delete(&mut self, by: bool, at: Place) {
        let name = self.object(at);
        let deleted = self.process(by).delete(&name).await;
        match self.content(&name) {
            Some(_) => assert!(deleted.unwrap().warnings.is_empty(), "{name}"),
            None => assert!(deleted.is_err(), "{name} was deleted, and did not exist"),
        }
        self.removed(&name);
    }

    async fn delete_all(&mut self, by: bool, second: bool, prefix: &str) {
        let report = |name: &_, outcome| {
            assert!(matches!(outcome, Ok(ListedRemoval::Removed)), "{name}: {outcome:?}");
            Ok(())
        };
        let deleted: Result<_, ServiceError> =
            self.process(by).delete_all(&bucket(second), prefix, report).await;
        assert!(deleted.unwrap().warnings.is_empty());
        self.files(second).retain(|key, _| !key.starts_with(prefix));
        self.escaped.retain(|name, _| {
            name.bucket != bucket(second) || !name.key.as_str().starts_with(prefix)
        });
    }

    /// Returns whether the file was copied.
    async fn copy(&mut self, by: bool, from: &ObjectName, to: &ObjectName, delta: bool) -> bool {
        let copied = self.process(by).copy(from, to, delta).await;
        match self.content(from) {
            _ if from == to => {
                assert!(matches!(copied, Err(ServiceError::CopyOntoItself(_))), "{copied:?}");
                false
            }
            Some(content) => self.stored(to, content, copied).await,
            None => {
                assert!(copied.is_err(), "{from} was copied, and did not exist");
                false
            }
        }
    }

    async fn move_file(&mut self, by: bool, from: &ObjectName, to: &ObjectName) {
        let seen = self.process(by).head(from).await;
        if self.copy(by, from, to, true).await {
            match self.process(by).delete_moved(from, &seen.unwrap()).await.unwrap() {
                Moved::Removed => self.removed(from),
                Moved::HasOlder => assert!(!self.store.conditions_are_atomic(), "{from} stays"),
                Moved::Replaced => panic!("{from} was not replaced"),
            }
        }
    }

    async fn rebase(&mut self, by: bool, at: Place) {
        let name = self.object(at);
        let rebased = self.process(by).rebase(&name, false).await;
        if !self.store.conditions_are_atomic() {
            assert!(matches!(rebased, Err(ServiceError::NeedsConditionalWrites)));
        } else if self.content(&name).is_some() {
            rebased.unwrap();
        }
    }
}
