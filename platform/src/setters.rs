//! The methods that set the fields of what a caller wants.

/// Writes a method for each public field, of the same name. A field that is an `Option` is set to `Some`.
macro_rules! setters {
    () => {};
    ($(#[$doc:meta])* $field:ident: Option<$Value:ty>; $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub const fn $field(mut self, $field: $Value) -> Self {
            self.$field = Some($field);
            self
        }

        $crate::setters::setters! { $($rest)* }
    };
    ($(#[$doc:meta])* $field:ident: $Value:ty; $($rest:tt)*) => {
        $(#[$doc])*
        #[must_use]
        pub const fn $field(mut self, $field: $Value) -> Self {
            self.$field = $field;
            self
        }

        $crate::setters::setters! { $($rest)* }
    };
}

pub(crate) use setters;
