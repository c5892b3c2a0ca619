//! Reusable aligned memory: an operation takes what it needs and its drop gives it back, so that the system maps and
//! zeroes pages once, not for each operation.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use memmap2::MmapMut;

const CACHE_LINE: usize = 64;
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// From so many bytes on the allocator, which clears them on the thread that asks, takes longer than the system.
const WORTH_MAPPING: usize = 64 << 10;
/// Above this many bytes in the free list the largest buffers go back to the system.
const KEPT: usize = 512 << 20;

/// Aligned memory for 32-bit lanes, always initialised.
pub(crate) struct Buffer {
    start: NonNull<u32>,
    lanes: usize,
    memory: Memory,
}

/// Pages that a large buffer asks the system for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// The fewest to look up, for what is written and read again and again.
    Huge,
    /// As the system likes. Where a host takes back what its guest has free, the guest gets every huge page anew from it,
    /// and writing them for the first time takes five times as long as small ones.
    Usual,
}

/// Where a buffer's lanes lie.
enum Memory {
    Allocated(Layout),
    /// Fresh pages of the system.
    Mapped(#[expect(dead_code, reason = "its drop unmaps the pages")] MmapMut),
}

// SAFETY: the buffer owns its memory, and `u32` may move between threads.
unsafe impl Send for Buffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Zeroed memory for `lanes` lanes, aligned to a cache line, or to a huge page if it asks for those and is as large as one.
    ///
    /// Large buffers take no memory before they are written, and then on the thread that writes.
    pub(crate) fn zeroed(lanes: usize, pages: Pages) -> Self {
        let bytes = (lanes * 4).max(CACHE_LINE);
        let fresh = match pages {
            Pages::Huge => HUGE_PAGE,
            Pages::Usual => WORTH_MAPPING,
        };
        if bytes < fresh {
            return Self::allocated(bytes);
        }
        Self::mapped(bytes, pages).unwrap_or_else(|| Self::allocated(bytes))
    }

    fn allocated(bytes: usize) -> Self {
        let bytes = bytes.next_multiple_of(CACHE_LINE);
        let layout = Layout::from_size_align(bytes, CACHE_LINE)
            .expect("a buffer of at most isize::MAX bytes");
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        Self {
            start: start.cast(),
            lanes: bytes / 4,
            memory: Memory::Allocated(layout),
        }
    }

    /// Nothing where the system refuses.
    fn mapped(bytes: usize, pages: Pages) -> Option<Self> {
        let bytes = bytes.next_multiple_of(CACHE_LINE);
        let align = match pages {
            Pages::Huge => HUGE_PAGE,
            Pages::Usual => CACHE_LINE,
        };
        let mut map = MmapMut::map_anon(bytes.checked_add(align)?).ok()?;
        let before = map.as_ptr().align_offset(align);
        // Not the last page, which would take two megabytes for however little. A refusal costs speed only.
        #[cfg(target_os = "linux")]
        if pages == Pages::Huge {
            let whole = bytes / HUGE_PAGE * HUGE_PAGE;
            let _ = map.advise_range(memmap2::Advice::HugePage, before, whole);
        }
        let start = NonNull::new(map[before..][..bytes].as_mut_ptr())?;
        Some(Self {
            start: start.cast(),
            lanes: bytes / 4,
            memory: Memory::Mapped(map),
        })
    }

    fn lanes(&self) -> usize {
        self.lanes
    }
}

impl Deref for Buffer {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        // SAFETY: the memory is owned, aligned and initialised since it was made.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.lanes) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u32] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.lanes) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Memory::Allocated(layout) = self.memory {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

static FREE: Mutex<Vec<Buffer>> = Mutex::new(Vec::new());

/// Borrowed scratch memory; its content is whatever the last user left.
pub(crate) struct Scratch {
    buffer: Option<Buffer>,
    lanes: usize,
}

impl Scratch {
    /// At least `lanes` lanes: the smallest free buffer that is not more than twice too large, or a new one.
    pub(crate) fn take(lanes: usize) -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = lanes.saturating_mul(2).max(HUGE_PAGE / 4);
        let best = (0..free.len())
            .filter(|&index| (lanes..=limit).contains(&free[index].lanes()))
            .min_by_key(|&index| free[index].lanes());
        let found = best.map(|index| free.swap_remove(index));
        drop(free);
        Self {
            buffer: Some(found.unwrap_or_else(|| Buffer::zeroed(lanes, Pages::Huge))),
            lanes,
        }
    }
}

impl Deref for Scratch {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.buffer.as_ref().expect("present until dropped")[..self.lanes]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u32] {
        &mut self.buffer.as_mut().expect("present until dropped")[..self.lanes]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.extend(self.buffer.take());
        while free.iter().map(|buffer| 4 * buffer.lanes()).sum::<usize>() > KEPT {
            let largest = (0..free.len()).max_by_key(|&index| free[index].lanes());
            largest.map(|index| free.swap_remove(index));
        }
    }
}

/// Gives every free scratch buffer back to the system.
pub fn release() {
    FREE.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Numbers for those that write and never read them.
pub(crate) fn to_write(numbers: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: both have the same layout. Nothing in this crate writes what is not a number through such a slice.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len()) }
}

/// The same lanes seen as f32.
pub(crate) fn as_f32(lanes: &[u32]) -> &[f32] {
    // SAFETY: `u32` and `f32` have the same size and alignment, and every bit pattern is valid in both.
    unsafe { std::slice::from_raw_parts(lanes.as_ptr().cast(), lanes.len()) }
}

/// Numbers seen as lanes.
pub(crate) fn as_lanes(numbers: &[f32]) -> &[u32] {
    // SAFETY: as in `as_f32`.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len()) }
}

/// The same lanes seen as f32, for writing.
pub(crate) fn as_f32_mut(lanes: &mut [u32]) -> &mut [f32] {
    // SAFETY: as in `as_f32`, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(lanes.as_mut_ptr().cast(), lanes.len()) }
}

/// Lanes that several threads write, each its own.
#[derive(Clone, Copy)]
pub(crate) struct SharedLanes {
    start: *mut u32,
    length: usize,
}

// SAFETY: `range` makes its callers promise that no two threads have the same lanes.
unsafe impl Send for SharedLanes {}
// SAFETY: as above.
unsafe impl Sync for SharedLanes {}

impl SharedLanes {
    pub(crate) fn new(lanes: &mut [u32]) -> Self {
        Self {
            start: lanes.as_mut_ptr(),
            length: lanes.len(),
        }
    }

    /// # Panics
    /// If there are not that many lanes.
    ///
    /// # Safety
    /// The slice given to [`SharedLanes::new`] is still borrowed for it, and nothing else accesses this range meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn range<'a>(self, first: usize, length: usize) -> &'a mut [u32] {
        assert!(first + length <= self.length, "lanes within the buffer");
        // SAFETY: the range is within the slice, and exclusive as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), length) }
    }
}
