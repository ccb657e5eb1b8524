//! Sets of the variants of an enum, each a bit.

/// Writes what a set of this type has: a tuple struct of an integer, with a bit for each of `$Item::ALL`.
macro_rules! set {
    ($Set:ident($Bits:ty) of $Item:ident) => {
        impl $Set {
            /// Whether this one is in the set.
            #[must_use]
            pub const fn contains(self, item: $Item) -> bool {
                self.0 & (1 << item as $Bits) != 0
            }

            /// Those in the set.
            pub fn iter(self) -> impl Iterator<Item = $Item> {
                $Item::ALL.iter().copied().filter(move |&item| self.contains(item))
            }
        }

        impl FromIterator<$Item> for $Set {
            fn from_iter<I: IntoIterator<Item = $Item>>(items: I) -> Self {
                Self(items.into_iter().fold(0, |bits, item| bits | 1 << item as $Bits))
            }
        }

        impl std::fmt::Debug for $Set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_set().entries(self.iter()).finish()
            }
        }

        const _: () = assert!($Item::ALL.len() <= <$Bits>::BITS as usize, "a bit for each");
    };
}

pub(crate) use set;
