//! Entries as words, and what of them differs.

use super::KernelView;
use bytemuck::Pod;

/// Words of an entry, by their position in it, and the order in which they are stored.
pub(super) type Order = &'static [usize];

/// An entry of four words: what decides comes last.
pub(super) const FIRST_LAST_OF_4: Order = &[1, 2, 3, 0];
/// An entry of eight words: what decides comes last.
pub(super) const FIRST_LAST_OF_8: Order = &[1, 2, 3, 4, 5, 6, 7, 0];
/// An entry of one word.
pub(super) const SINGLE: Order = &[0];

/// Number of words of an entry.
pub(super) const fn words_of<T>() -> usize {
    size_of::<T>() / size_of::<u64>()
}

/// Reads an entry of a map.
pub(super) fn read<T: Pod>(kernel: &impl KernelView, map: &'static str, index: u32) -> T {
    let mut entry = T::zeroed();
    let start = index as usize * words_of::<T>();
    let words: &mut [u64] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut entry));
    (start..).zip(words).for_each(|(word, value)| *value = kernel.load(map, word));
    entry
}

/// The words of an entry that differ from what the kernel holds, in `order`.
pub(super) fn differing<T: Pod>(
    kernel: &impl KernelView,
    map: &'static str,
    index: u32,
    entry: &T,
    order: Order,
) -> Vec<(usize, u64)> {
    debug_assert_eq!(order.len(), words_of::<T>());
    let start = index as usize * words_of::<T>();
    let words: &[u64] = bytemuck::cast_slice(std::slice::from_ref(entry));
    let wanted = order.iter().filter_map(|&word| Some((start + word, *words.get(word)?)));
    wanted.filter(|&(word, value)| kernel.load(map, word) != value).collect()
}

/// Indices of the entries that hold something: neither the default, nor zeros as in a new map. (A service of
/// pool 0 is all zeros too; left behind, it is as good as cleared, for nothing names it.)
pub(super) fn occupied<T: Pod + Default + PartialEq>(
    kernel: &impl KernelView,
    map: &'static str,
) -> impl Iterator<Item = u32> {
    let entries = u32::try_from(kernel.words(map) / words_of::<T>()).unwrap_or(u32::MAX);
    (0..entries).filter(move |&index| {
        let entry: T = read(kernel, map, index);
        entry != T::zeroed() && entry != T::default()
    })
}
