//! How this process gets memory from the system: in large steps and large pages, and it keeps what it frees.
//!
//! Knows no command. Most commands end within milliseconds, of which the kernel would spend a tenth or more on single pages of 4 KiB: by
//! default glibc takes its heap in steps of 128 KiB, maps each large table on its own, and gives back what is free.

/// Has the C library take a large heap at once, and the kernel fill it by large pages. Only pages that are used take memory. Other C
/// libraries have other ways, which are left as they are.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn take_large_pages() {
    /// The size of a large page, on most machines.
    const PAGE: usize = 2 << 20;
    /// More than a plan of ten thousand stages takes.
    const HEAP: libc::c_int = 128 << 20;
    /// What comes first in it stays in small pages: many a command takes no more, and to clear a large page takes a tenth of a millisecond.
    const SMALL: usize = 2 << 20;
    /// The most that glibc accepts.
    const MAPPED_ALONE: libc::c_int = 32 << 20;
    for (setting, value) in
        [(libc::M_TOP_PAD, HEAP), (libc::M_TRIM_THRESHOLD, HEAP), (libc::M_MMAP_THRESHOLD, MAPPED_ALONE)]
    {
        // A refusal only costs time, here and below.
        // SAFETY: it changes settings of the allocator, under its lock.
        unsafe { libc::mallopt(setting, value) };
    }
    // More than is left of the first step, so that the heap grows by the new one. Nothing is written to it.
    let growth = std::hint::black_box(Vec::<u8>::with_capacity(1 << 20));
    let beginning = (growth.as_ptr().addr() + SMALL).next_multiple_of(PAGE);
    // SAFETY: it changes nothing.
    let end = unsafe { libc::sbrk(0) }.addr() / PAGE * PAGE;
    if beginning < end {
        let pages = std::ptr::without_provenance_mut(beginning);
        // SAFETY: this advice changes how memory is filled that nothing has used yet, and none of its content.
        unsafe { libc::madvise(pages, end - beginning, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn take_large_pages() {}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_in_memory_stays_when_large_pages_are_taken() {
        let before: Vec<u8> = (0..3 << 20).map(|place| (place % 251) as u8).collect();
        super::take_large_pages();
        let after = before.clone();
        super::take_large_pages();
        assert!(before == after && before.iter().enumerate().all(|(place, byte)| place % 251 == usize::from(*byte)));
    }
}
