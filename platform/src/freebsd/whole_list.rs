//! Lists that the kernel cuts without a word where there is no room for all of them.

/// Reads a list into more and more room, until it leaves room for another entry of `entry` elements.
/// Only then is it sure that the kernel left none out.
pub(super) fn whole_list<T: Clone>(
    empty: T,
    entry: usize,
    read: impl Fn(&mut [T]) -> nix::Result<usize>,
) -> nix::Result<Vec<T>> {
    let mut list = vec![empty.clone(); entry.saturating_mul(64)];
    loop {
        let len = read(&mut list)?;
        if len.saturating_add(entry) <= list.len() {
            list.truncate(len);
            return Ok(list);
        }
        list.resize(list.len().saturating_mul(4), empty.clone());
    }
}
