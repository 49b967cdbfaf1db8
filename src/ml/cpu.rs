//! How libtorch uses the CPU: the instruction set that it has chosen, and settings for equal results on every CPU that
//! supports it.
//!
//! Knows no job. Environment variables, set before this process starts, tell each library which instructions it may use.
//! That is not enough: oneDNN splits sums by the size of a CPU's caches, so it is switched off, and convolutions go through
//! MKL, which guarantees equal sums. MKL's square root starts with an estimate that differs between CPU models; the fused steps
//! of optimisers, which take roots of moments, don't use it.

use intrada_shim::cpu;

/// `avx2`, `avx512`, `default`, …: libtorch's name in lower case.
pub fn instruction_set() -> String {
    let said = cpu::capability();
    // In a message for people; its variable ATEN_CPU_CAPABILITY calls it `default`.
    if said == "NO AVX" { "default".to_owned() } else { said.to_lowercase() }
}

/// From now on results of this process depend only on the instruction set, not on the CPU's model and caches.
pub fn hold() {
    cpu::leave_onednn_out();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn libtorch_says_what_it_chose() {
        let said = instruction_set();
        assert!(["default", "avx2", "avx512"].contains(&said.as_str()), "{said}");
    }
}
