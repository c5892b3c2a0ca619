//! Loops over independent pieces, on all threads or on the one that is there.

mod team;

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use team::Team;

/// The team of all kernels: as many threads as rayon, which packs weights, has.
fn team() -> &'static Team {
    static TEAM: OnceLock<Team> = OnceLock::new();
    TEAM.get_or_init(|| Team::start(rayon::current_num_threads()))
}

/// Threads that take part in a loop.
pub(crate) fn threads() -> usize {
    team().threads()
}

/// Calls `body` for every index, with a state for each thread.
pub(crate) fn for_each<S>(
    parallel: bool,
    count: usize,
    state: impl Fn() -> S + Sync,
    body: impl Fn(&mut S, usize) + Sync,
) {
    if !parallel || count < 2 {
        let mut state = state();
        return (0..count).for_each(|index| body(&mut state, index));
    }
    let next = AtomicUsize::new(0);
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < count);
    team().run(&|| {
        let mut index = take();
        // Who comes too late for a piece needs no state.
        let mut state = index.is_some().then(&state);
        while let (Some(state), Some(piece)) = (&mut state, index) {
            body(state, piece);
            index = take();
        }
    });
}

/// Calls `body` for every chunk of `size` values, the last of which may be shorter, with its number and a state for each
/// thread.
pub(crate) fn for_each_chunk<T: Send, S>(
    parallel: bool,
    values: &mut [T],
    size: usize,
    state: impl Fn() -> S + Sync,
    body: impl Fn(&mut S, usize, &mut [T]) + Sync,
) {
    let chunks = Chunks {
        head: values.as_mut_ptr(),
        length: values.len(),
        size,
        values: PhantomData,
    };
    for_each(parallel, chunks.count(), state, |state, index| {
        // SAFETY: every index is given once.
        body(state, index, unsafe { chunks.chunk(index) });
    });
}

/// [`for_each_chunk`] on all threads, where threads keep no state.
pub(crate) fn chunks<T: Send>(
    values: &mut [T],
    size: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    for_each_chunk(
        true,
        values,
        size,
        || (),
        |(), index, chunk| body(index, chunk),
    );
}

/// Calls `body` for every item.
pub(crate) fn for_each_item<T: Send>(
    parallel: bool,
    items: &mut [T],
    body: impl Fn(&mut T) + Sync,
) {
    for_each_chunk(parallel, items, 1, || (), |(), _, item| body(&mut item[0]));
}

/// The chunks of a slice, to be taken by several threads.
struct Chunks<'a, T> {
    head: *mut T,
    length: usize,
    size: usize,
    values: PhantomData<&'a mut [T]>,
}

// SAFETY: it gives out parts of a slice that no two threads ask for, which is as sending them there.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    fn count(&self) -> usize {
        self.length.div_ceil(self.size)
    }

    /// # Safety
    /// No chunk may be asked for again.
    unsafe fn chunk(&self, index: usize) -> &'a mut [T] {
        assert!(index < self.count(), "chunk {index} of {}", self.count());
        let start = index * self.size;
        let length = self.size.min(self.length - start);
        // SAFETY: within the slice, as `start` is below its length; no other chunk overlaps this one.
        unsafe { std::slice::from_raw_parts_mut(self.head.add(start), length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_slice_once() {
        for (length, size) in [(0, 3), (1, 3), (3, 3), (7, 3), (64, 1), (5, 100)] {
            for parallel in [false, true] {
                let mut values = vec![0; length];
                for_each_chunk(
                    parallel,
                    &mut values,
                    size,
                    || (),
                    |(), index, chunk| {
                        for (i, value) in chunk.iter_mut().enumerate() {
                            *value += 1 + index * size + i;
                        }
                    },
                );
                assert!(values.into_iter().eq(1..=length), "{length} by {size}");
            }
        }
    }
}
