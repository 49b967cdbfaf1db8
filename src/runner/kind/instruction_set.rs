//! The instruction sets to which a pipeline can restrict the CPU libraries, with each library's environment variables.
//!
//! Knows no machine: `exec` checks whether a CPU has one. libtorch, oneDNN and MKL choose independently, so each has its own
//! documented variable. MKL honours a level only on CPUs of one vendor; its `COMPATIBLE` mode gives equal sums on all. Settings
//! without a variable are in `ml::cpu`.

/// A set of CPU instructions to which a worker's libraries can be restricted.
#[derive(Debug, PartialEq, Eq)]
pub struct InstructionSet {
    /// Its name in the pipeline file; libtorch uses the same in capitals.
    pub name: &'static str,
    /// Variables of the environment and their values.
    pub variables: &'static [(&'static str, &'static str)],
}

/// All names.
pub const NAMES: &[&str] = &["avx2", "avx512"];

const AVX2: InstructionSet = InstructionSet {
    name: "avx2",
    variables: &[("ATEN_CPU_CAPABILITY", "avx2"), ("ONEDNN_MAX_CPU_ISA", "AVX2"), ("MKL_CBWR", "COMPATIBLE")],
};

const AVX512: InstructionSet = InstructionSet {
    name: "avx512",
    variables: &[("ATEN_CPU_CAPABILITY", "avx512"), ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE"), ("MKL_CBWR", "COMPATIBLE")],
};

/// The set of this name.
pub fn find(name: &str) -> Option<&'static InstructionSet> {
    [&AVX2, &AVX512].into_iter().find(|set| set.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_for_a_set_that_tells_all_three_libraries() {
        for name in NAMES {
            let set = find(name).unwrap();
            let of = |prefix: &str| set.variables.iter().any(|(name, _)| name.starts_with(prefix));
            assert!(set.name == *name && ["ATEN_", "ONEDNN_", "MKL_"].into_iter().all(of), "{set:?}");
        }
        assert_eq!(find("AVX2"), None);
    }
}
