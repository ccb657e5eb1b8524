//! The methods that return the fields of a network and of what is wrong with one.

/// Writes a method for each field, of the same name. It returns a reference for a type with `&`, else a copy.
macro_rules! getters {
    () => {};
    ($(#[$doc:meta])* $field:ident: &$Type:ty; $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub const fn $field(&self) -> &$Type {
            &self.$field
        }

        $crate::network::getters::getters! { $($rest)* }
    };
    ($(#[$doc:meta])* $field:ident: $Type:ty; $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub const fn $field(&self) -> $Type {
            self.$field
        }

        $crate::network::getters::getters! { $($rest)* }
    };
}

pub(super) use getters;
