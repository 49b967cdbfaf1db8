//! How this process gets memory from the system: in large pieces, which it keeps.
//!
//! A training step allocates and frees the same tensors each time. By default glibc maps each large one anew, and the kernel clears its
//! pages again. Kept pages are reused, which halves the kernel's time; the peak stays the same, and so do the bytes of results.

/// Has the C library keep what is freed. Other C libraries have other ways, which are left as they are.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_pages() {
    const LARGE: libc::c_int = 1 << 30;
    // Below this size nothing is mapped on its own, and the heap gives nothing back. A refusal only costs time.
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: it changes settings of the allocator, under its lock.
        unsafe { libc::mallopt(parameter, LARGE) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_pages() {}
