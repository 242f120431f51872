//! `with_…` methods for option structs.

/// Defines a setter for each field. `=> Some` marks a field that is an [`Option`] and becomes
/// `Some`.
macro_rules! setters {
    ($options:ty { $($with:ident($field:ident: $value:ty) $(=> $some:ident)?),* $(,)? }) => {
        impl $options {
            $(
                #[doc = concat!(
                    "Sets [`", stringify!($field), "`](Self::", stringify!($field), ")."
                )]
                #[must_use]
                pub fn $with(mut self, $field: $value) -> Self {
                    self.$field = $($some)?($field);
                    self
                }
            )*
        }
    };
}

pub(crate) use setters;
