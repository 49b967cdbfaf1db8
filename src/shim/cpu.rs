//! What libtorch uses of the CPU.

use std::ffi::c_char;

use crate::taken;

unsafe extern "C" {
    fn intrada_shim_cpu_capability() -> *mut c_char;
    fn intrada_shim_leave_onednn_out();
    fn intrada_shim_has_onednn() -> bool;
}

/// The instructions that it has chosen, in its own words for people: `AVX512`, `AVX2`, `NO AVX`, …
pub fn capability() -> String {
    // SAFETY: it takes nothing, and its answer is a string that is ours.
    unsafe { taken(intrada_shim_cpu_capability()) }
}

/// From now on oneDNN computes nothing in this process, and convolutions go through MKL.
pub fn leave_onednn_out() {
    // SAFETY: it takes nothing.
    unsafe { intrada_shim_leave_onednn_out() }
}

/// Whether oneDNN may compute.
pub(crate) fn has_onednn() -> bool {
    // SAFETY: it takes nothing.
    unsafe { intrada_shim_has_onednn() }
}
