//! How a result was computed, from the notes of its trace, in one line.
//!
//! Decides nothing: only an instruction set that the pipeline names is part of a key. It explains why two results that
//! should be equal differ in their last digits.

use std::collections::BTreeMap;

use crate::measures::plural;

/// The notes to show, in this order.
pub const NOTES: [&str; 7] = ["intrada", "libtorch", "machine", "device", "threads", "instruction_set", "commit"];

/// `libtorch 2.11.0 on cpu, 1 thread, avx512; linux x86_64, AMD EPYC, 2 CPUs`. `None` if nothing was noted, as for a
/// command.
pub fn line(note: &BTreeMap<String, String>) -> Option<String> {
    let noted = |name: &str| note.get(name).map(String::as_str);
    let device = noted("device")?;
    let libtorch = noted("libtorch").map_or_else(|| "libtorch".to_owned(), |version| format!("libtorch {version}"));
    let threads =
        noted("threads").and_then(|threads| threads.parse().ok()).map(|threads: usize| plural(threads, "thread"));
    let parts = [Some(format!("{libtorch} on {device}")), threads, noted("instruction_set").map(str::to_owned)];
    let computed = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    Some(noted("machine").map_or(computed.clone(), |machine| format!("{computed}; {machine}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_told_in_one_line_and_the_rest_left_out() {
        let notes = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let all = notes(&[
            ("libtorch", "2.11.0"),
            ("device", "cpu"),
            ("threads", "1"),
            ("instruction_set", "avx512"),
            ("machine", "linux x86_64, 2 CPUs"),
            ("summary", "4 iterations"),
        ]);
        assert_eq!(line(&all).unwrap(), "libtorch 2.11.0 on cpu, 1 thread, avx512; linux x86_64, 2 CPUs");
        assert_eq!(line(&notes(&[("device", "cuda(0)"), ("threads", "4")])).unwrap(), "libtorch on cuda(0), 4 threads");
        assert_eq!(line(&notes(&[("machine", "linux")])), None);
    }
}
