//! Which shared libraries the two programs need, read from the programs themselves.
//!
//! The runner has to start in milliseconds on a machine without libtorch: one careless dependency would end that, and
//! nothing else would notice.

use std::fs;

#[test]
fn the_runner_needs_neither_libtorch_nor_a_cpp_runtime() {
    let needed = needed_libraries(env!("CARGO_BIN_EXE_intrada-run"));
    assert!(needed.iter().any(|name| name.starts_with("libc.")), "not read rightly: {needed:?}");
    for word in ["torch", "c10", "stdc++", "gomp", "cuda"] {
        assert!(needed.iter().all(|name| !name.contains(word)), "intrada-run needs {needed:?}");
    }
}

#[cfg(feature = "worker")]
#[test]
fn the_worker_needs_libtorch() {
    let needed = needed_libraries(env!("CARGO_BIN_EXE_intrada-worker"));
    assert!(needed.iter().any(|name| name.starts_with("libtorch_cpu.so")), "intrada-worker needs {needed:?}");
}

/// The names in the dynamic section of a 64-bit little-endian ELF file (System V ABI, chapters 4 and 5).
fn needed_libraries(program: &str) -> Vec<String> {
    const LOADED: u64 = 1; // PT_LOAD
    const DYNAMIC: u64 = 2; // PT_DYNAMIC
    const NEEDED: u64 = 1; // DT_NEEDED
    const NAMES: u64 = 5; // DT_STRTAB

    let file = fs::read(program).unwrap();
    assert_eq!(&file[..6], b"\x7fELF\x02\x01", "{program} is not a 64-bit little-endian ELF file");
    let number = |at: usize, bytes: usize| {
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(&file[at..at + bytes]);
        u64::from_le_bytes(value)
    };
    let place = |at: usize| number(at, 8) as usize;

    // Program headers: (type, offset in the file, address, size in the file).
    let (first, size, count) = (place(0x20), number(0x36, 2) as usize, number(0x38, 2) as usize);
    let segments: Vec<(u64, usize, usize, usize)> = (0..count)
        .map(|i| first + i * size)
        .map(|at| (number(at, 4), place(at + 0x08), place(at + 0x10), place(at + 0x20)))
        .collect();
    let dynamic = segments.iter().find(|segment| segment.0 == DYNAMIC).expect("a program that is linked dynamically");
    let entries: Vec<(u64, usize)> =
        (dynamic.1..dynamic.1 + dynamic.3).step_by(16).map(|at| (number(at, 8), place(at + 8))).collect();

    let names = entries.iter().find(|(tag, _)| *tag == NAMES).expect("a dynamic section with names").1;
    let holds_names = |segment: &&(u64, usize, usize, usize)| {
        segment.0 == LOADED && (segment.2..segment.2 + segment.3).contains(&names)
    };
    let names =
        segments.iter().find(holds_names).map(|segment| names - segment.2 + segment.1).expect("names in the file");
    let name = |at: usize| {
        let bytes = &file[names + at..];
        let end = bytes.iter().position(|byte| *byte == 0).expect("a terminated name");
        String::from_utf8(bytes[..end].to_vec()).unwrap()
    };
    entries.iter().filter(|(tag, _)| *tag == NEEDED).map(|(_, at)| name(*at)).collect()
}
