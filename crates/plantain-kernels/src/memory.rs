//! What the allocator does with memory that was freed.

/// Keeps freed memory in this process instead of handing it back to the system, which would have to clear every page again
/// when the next operation asks for it: a third of the time of the large ones. For programs that do little else.
/// Without effect but with glibc's allocator.
///
/// ```
/// plantain_kernels::keep_freed_memory();
/// ```
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` takes two integers, and these change only when memory is returned to the system.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
            // The arenas of other threads give back what they do not use all the same, and networks are loaded on others.
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

/// Hands freed memory back to the system: for after something that is done once and needs much. Without effect but with
/// glibc's allocator.
///
/// ```
/// plantain_kernels::return_freed_memory();
/// ```
pub fn return_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: only memory that no allocation uses is handed back; the pad is a number of bytes.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Asks for huge pages where memory that is about to be written has room for whole ones: layers write many channels at once,
/// each to another page. A refusal costs speed only.
pub(crate) fn prefer_huge_pages<T>(memory: &mut [T]) {
    #[cfg(target_os = "linux")]
    {
        const HUGE_PAGE: usize = 2 << 20;
        let before = memory.as_ptr().cast::<u8>().align_offset(HUGE_PAGE);
        let whole = size_of_val(memory).saturating_sub(before) / HUGE_PAGE * HUGE_PAGE;
        if whole > 0 {
            let start = memory.as_mut_ptr().wrapping_byte_add(before);
            // SAFETY: the range is within the memory, whose content stays as it is.
            unsafe { libc::madvise(start.cast(), whole, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}
