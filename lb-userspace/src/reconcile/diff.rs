//! Entries as words, and what of them differs.

use super::KernelView;
use bytemuck::Pod;

/// Words of an entry, by their position in it, and the order in which they are stored.
pub(super) type Order = &'static [usize];

/// An entry of two words: what decides comes last.
pub(super) const FIRST_LAST_OF_2: Order = &[1, 0];
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
    let words = bytemuck::cast_slice_mut(std::slice::from_mut(&mut entry));
    kernel.read(map, index as usize * words_of::<T>(), words);
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
    let held: T = read(kernel, map, index);
    let start = index as usize * words_of::<T>();
    difference(&held, entry, order).into_iter().map(|(word, value)| (start + word, value)).collect()
}

/// The words of an entry, by their position in it, that differ from those of another, in `order`.
pub(super) fn difference<T: Pod>(held: &T, wanted: &T, order: Order) -> Vec<(usize, u64)> {
    let held: &[u64] = bytemuck::cast_slice(std::slice::from_ref(held));
    let wanted: &[u64] = bytemuck::cast_slice(std::slice::from_ref(wanted));
    debug_assert_eq!(order.len(), wanted.len());
    order.iter().filter(|&&word| held[word] != wanted[word]).map(|&word| (word, wanted[word])).collect()
}

/// The words that differ from what a map holds from `first` on.
pub(super) fn differing_words(
    kernel: &impl KernelView,
    map: &'static str,
    first: usize,
    wanted: impl ExactSizeIterator<Item = u64>,
) -> Vec<(usize, u64)> {
    let mut held = vec![0; wanted.len()];
    kernel.read(map, first, &mut held);
    let pairs = (first..).zip(wanted).zip(held);
    pairs.filter(|((_, wanted), held)| wanted != held).map(|(pair, _)| pair).collect()
}

/// Indices of the entries that hold something: neither the default, nor zeros as in a new map. (A service of
/// pool 0 is all zeros too; left behind, it is as good as cleared, for nothing names it.)
pub(super) fn occupied<T: Pod + Default + PartialEq>(
    kernel: &impl KernelView,
    map: &'static str,
) -> Vec<u32> {
    let mut words = vec![0; kernel.words(map)];
    kernel.read(map, 0, &mut words);
    let entries = words.chunks_exact(words_of::<T>());
    let holds = |words: &[u64]| {
        let nothing = T::default();
        words.iter().any(|word| *word != 0)
            && words != bytemuck::cast_slice::<T, u64>(std::slice::from_ref(&nothing))
    };
    (0..).zip(entries).filter(|(_, words)| holds(words)).map(|(index, _)| index).collect()
}
