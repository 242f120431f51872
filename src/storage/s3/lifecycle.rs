//! The lifecycle rules of a bucket.

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule as Rule, LifecycleRuleFilter};

use crate::domain::BucketName;
use crate::storage::{LifecycleAction, LifecycleRule, StorageError};

use super::S3Store;
use super::attempts::send;

impl S3Store {
    pub(super) async fn lifecycle_rules(
        &self,
        bucket: &BucketName,
    ) -> Result<Vec<LifecycleRule>, StorageError> {
        let request =
            self.clients.calls.get_bucket_lifecycle_configuration().bucket(bucket.as_str());
        match send!(self.clients.attempts, bucket, request) {
            Ok(answer) => Ok(answer.rules().iter().flat_map(rules_of).collect()),
            // A bucket without rules answers 404 (NoSuchLifecycleConfiguration); so does an absent
            // bucket.
            Err(failed)
                if failed.is_not_implemented()
                    || failed.code() == Some("NoSuchLifecycleConfiguration") =>
            {
                Ok(Vec::new())
            }
            Err(failed) => Err(failed.at("GetBucketLifecycleConfiguration", bucket)),
        }
    }
}

/// Splits a rule into one rule per action. Rules for tagged objects do not apply to objects without
/// tags.
fn rules_of(rule: &Rule) -> Vec<LifecycleRule> {
    if *rule.status() != ExpirationStatus::Enabled {
        return Vec::new();
    }
    let filter = rule.filter();
    let and = filter.and_then(LifecycleRuleFilter::and);
    if filter.is_some_and(|filter| filter.tag().is_some())
        || and.is_some_and(|and| !and.tags().is_empty())
    {
        return Vec::new();
    }
    #[allow(
        deprecated,
        reason = "rules made before 2016 have their prefix here, and stores still answer with it"
    )]
    let outer = rule.prefix();
    let prefix =
        outer.or(filter.and_then(|filter| filter.prefix())).or(and.and_then(|and| and.prefix()));
    let larger = filter.and_then(|filter| filter.object_size_greater_than());
    let smaller = filter.and_then(|filter| filter.object_size_less_than());
    let bytes = |size: Option<i64>| size.and_then(|size| u64::try_from(size).ok());
    let larger_than = bytes(larger.or(and.and_then(|and| and.object_size_greater_than())));
    let smaller_than = bytes(smaller.or(and.and_then(|and| and.object_size_less_than())));
    // An expiration can also apply to delete markers only.
    let expires =
        rule.expiration().is_some_and(|expiry| expiry.days().is_some() || expiry.date().is_some());
    let classes = rule.transitions().iter().filter_map(|to| to.storage_class());
    let actions = expires.then_some(LifecycleAction::Expire).into_iter();
    let actions =
        actions.chain(classes.map(|class| LifecycleAction::Transition(class.as_str().to_owned())));
    actions
        .map(|action| LifecycleRule {
            id: rule.id().unwrap_or_default().to_owned(),
            prefix: prefix.unwrap_or_default().to_owned(),
            larger_than,
            smaller_than,
            action,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::{
        LifecycleExpiration, LifecycleRuleAndOperator, Tag, Transition,
        TransitionStorageClass as Class,
    };

    fn rule() -> aws_sdk_s3::types::builders::LifecycleRuleBuilder {
        Rule::builder().id("r").status(ExpirationStatus::Enabled)
    }

    fn tag() -> Tag {
        Tag::builder().key("a").value("b").build().unwrap()
    }

    #[test]
    fn rules_are_split_by_action() {
        let filter = LifecycleRuleFilter::builder();
        let days = LifecycleExpiration::builder().days(30).build();
        let archive = Transition::builder().days(1).storage_class(Class::DeepArchive).build();
        let both = rule()
            .filter(filter.clone().prefix("a/").build())
            .expiration(days.clone())
            .transitions(archive);
        let rules = rules_of(&both.build().unwrap());
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0].prefix, "a/");
        assert_eq!(rules[0].action, LifecycleAction::Expire);
        assert_eq!(rules[1].action, LifecycleAction::Transition("DEEP_ARCHIVE".into()));

        let and = LifecycleRuleAndOperator::builder().prefix("b/").object_size_greater_than(9);
        let sized =
            rule().filter(filter.clone().and(and.clone().build()).build()).expiration(days.clone());
        let rules = rules_of(&sized.build().unwrap());
        assert_eq!((rules[0].prefix.as_str(), rules[0].larger_than), ("b/", Some(9)));

        let none = [
            rule().status(ExpirationStatus::Disabled).expiration(days.clone()),
            rule().filter(filter.clone().tag(tag()).build()).expiration(days.clone()),
            rule().filter(filter.and(and.tags(tag()).build()).build()).expiration(days),
            rule().expiration(
                LifecycleExpiration::builder().expired_object_delete_marker(true).build(),
            ),
            rule(),
        ];
        for rule in none {
            assert_eq!(rules_of(&rule.build().unwrap()), []);
        }
    }
}
