//! The instruction sets to which a pipeline can hold whatever computes, and what each library is told for it.
//!
//! Knows no machine: whether a CPU has one is asked in `exec`. libtorch, oneDNN and MKL each choose by themselves, so each
//! is told in its own words; the variables are documented by their makers. MKL holds to a level on CPUs of one make only, and
//! gives equal sums on all with what it calls compatible. What no variable can say is done in `ml::cpu`.

/// A set of CPU instructions that the libraries of a worker can be held to.
#[derive(Debug, PartialEq, Eq)]
pub struct InstructionSet {
    /// As in the pipeline file; libtorch calls it the same in capitals.
    pub name: &'static str,
    /// Variables of the environment and their values.
    pub variables: &'static [(&'static str, &'static str)],
}

/// The names of all.
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
