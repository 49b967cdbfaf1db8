//! Files of PyTorch (tests_data/pth.py wrote them), the same files damaged, and files made to do harm.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use super::*;
use crate::checkpoint;

const FILES: [&str; 6] = ["zip", "zip-protocol-4", "row", "record-zip", "record-row", "python2"];
/// Records as well, with a command among their values.
const HOSTILE: [&str; 2] = ["hostile-zip", "hostile-row"];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests_data/pth/{name}.pth"))
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

#[test]
fn every_form_of_torch_save_gives_the_tensors_that_were_saved() {
    let count = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([3, 4]);
    let tenth = Tensor::from_slice(&[0.1f32, -2.0]);
    let expected = [
        ("conv1.weight", &count / 8.0),
        ("bn1.num_batches_tracked", Tensor::from(-5_000_000_000i64)),
        ("turned", count.transpose(0, 1)),
        ("window", Tensor::from_slice(&[5f32, 6.0, 9.0, 10.0]).view([2, 2])),
        ("trained", Tensor::from_slice(&[0.5f32])),
        ("half", tenth.to_kind(Kind::Half)),
        ("brain", tenth.to_kind(Kind::BFloat16)),
        ("double", Tensor::from_slice(&[0.1f64])),
        ("mask", Tensor::from_slice(&[true, false])),
        ("bytes", Tensor::from_slice(&[0u8, 255])),
        ("nothing", Tensor::zeros([2, 0], (Kind::Float, Device::Cpu))),
    ];
    for name in &FILES[..5] {
        let found = checkpoint::read(&path(name)).unwrap().tensors;
        for (key, tensor) in &expected {
            assert_eq!((&found[*key], found[*key].kind()), (tensor, tensor.kind()), "{name}: {key}");
        }
        // Of a training's record only the network is taken.
        assert_eq!(found.len(), expected.len(), "{name}");
    }
    let bytes = file("row");
    let names: Vec<String> = read(&bytes).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected.map(|(name, _)| name), "in the file's order");
}

#[test]
fn a_file_of_python_2_is_read_with_the_view_that_its_storage_is() {
    let bytes = file("python2");
    let named = read(&bytes).unwrap();
    let values = [1f32, 2.0, 3.5].map(f32::to_le_bytes).concat();
    let array = Array { dtype: Dtype::F32, shape: vec![3], bytes: Cow::Borrowed(&values) };
    assert_eq!(named, [("Scale.conv1.weight".to_owned(), array)]);
}

#[test]
fn a_file_with_a_command_is_refused_and_the_command_is_not_run() {
    for name in HOSTILE {
        let bytes = file(name);
        let holds = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
        assert!(holds(b"touch executed") && holds(b"system"), "{name} would run a command");
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("it calls `posix.system` where it is loaded with Python"), "{error}");
    }
    // Whatever else of Python's own could run something; objects of classes that nobody knows could not.
    let call = |global: &str, operation: &[u8]| {
        let object = [&b"}X\x01\x00\x00\x00ac"[..], global.as_bytes(), b"\n)", operation, b"s"].concat();
        read(&row(&object)).map(|named| named.len())
    };
    for global in ["builtins\nexec", "__builtin__\neval", "subprocess\nrun", "numpyro\nf", "os.path\njoin"] {
        assert!(matches!(call(global, b"R"), Err(PthError::Call { .. })), "{global}");
    }
    for (global, operation) in
        [("builtins\nset", b"R"), ("numpy.core.multiarray\nscalar", b"R"), ("mine\nConfig", b"\x81")]
    {
        let error = call(global, operation).unwrap_err();
        assert!(matches!(error, PthError::Empty), "{global} is read, and no tensor: {error}");
    }
    assert!(!PathBuf::from("executed").exists());
}

#[test]
fn a_file_cut_anywhere_or_with_a_byte_changed_is_an_error_or_another_file_but_never_a_panic() {
    for name in FILES {
        let whole = file(name);
        // Data and padding between the archive's entries make most of a file, and aren't looked at.
        for at in (0..whole.len()).filter(|at| whole[*at] != 0) {
            let _ = read(&whole[..at]);
            for bits in [0x01, 0x80, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] ^= bits;
                let _ = read(&damaged);
            }
        }
        assert!(read(&whole[..whole.len() / 2]).is_err(), "{name}");
    }
}

#[test]
fn what_is_no_checkpoint_is_told_apart() {
    let says = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(says(b"\x80\x02}q\x00."), "a pickle, but not one of torch.save");
    assert!(says(b"PK\x03\x04 and then nothing").starts_with("damaged zip archive: "));
    assert_eq!(says(&row(b"}")), PthError::Empty.to_string());
    assert_eq!(says(&row(b"\x99")), "operation 0x99 at byte 2 of a pickle has no business in a checkpoint");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    std::fs::write(&path, row(b"}")).unwrap();
    let error = checkpoint::read(&path).unwrap_err().to_string();
    assert!(error.contains("weights: no tensors in it"), "{error}");
    // A safetensors file whose header has 128 bytes begins as a pickle does.
    let header = format!("{:<128}", r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#);
    std::fs::write(&path, [&128u64.to_le_bytes()[..], header.as_bytes(), &[7]].concat()).unwrap();
    assert_eq!(checkpoint::read(&path).unwrap().tensors["a"], Tensor::from_slice(&[7u8]));
}

/// A file of the old format with this program for its object, and no storage.
fn row(object: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    [magic, &b"\x80\x02M\xe9\x03."[..], b"\x80\x02}.", b"\x80\x02", object, b".", b"\x80\x02]."].concat()
}

/// The same with a tensor of `size` and `stride`, both programs for tuples, on a storage of one byte.
fn row_with_tensor(size: &[u8], stride: &[u8]) -> Vec<u8> {
    let storage = b"(X\x07\x00\x00\x00storagectorch\nByteStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ";
    let tensor = [b"ctorch._utils\n_rebuild_tensor_v2\n(", &storage[..], b"K\x00", size, stride, b"\x89NtR"].concat();
    let object = [b"}X\x01\x00\x00\x00a", &tensor[..], b"s"].concat();
    let mut file = row(&object);
    let keys = file.len() - b"].".len();
    file.splice(keys.., [&b"]X\x01\x00\x00\x000a."[..], &1u64.to_le_bytes(), &[42]].concat());
    file
}

#[test]
fn tensors_that_claim_more_than_there_is_are_refused_before_memory_is_asked_for() {
    let one = row_with_tensor(b"K\x01\x85", b"K\x01\x85");
    assert_eq!(*read(&one).unwrap()[0].1.bytes, [42]);
    let huge = b"\x8a\x06\x00\x00\x00\x00\x00\x10\x85"; // 2^44, as a LONG1
    let beyond = read(&row_with_tensor(huge, b"K\x01\x85")).unwrap_err();
    assert!(matches!(beyond, PthError::Excessive { what: "bytes of elements", .. }), "{beyond}");
    // Stride 0: every element is the same one, and all lie inside.
    let repeated = read(&row_with_tensor(huge, b"K\x00\x85")).unwrap_err();
    assert!(matches!(repeated, PthError::Excessive { .. }), "{repeated}");
    let outside = read(&row_with_tensor(b"K\x02\x85", b"K\x01\x85")).unwrap_err().to_string();
    assert_eq!(outside, "tensor `a` reaches beyond its storage `0`");
    // No element at all, but sides whose product no number holds: libtorch would not survive it.
    let largest = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
    let sides = [b"K\x00", &largest[..], largest, b"\x87"].concat();
    assert!(matches!(read(&row_with_tensor(&sides, &sides)), Err(PthError::Outside { .. })));
}

#[test]
fn values_that_grow_or_nest_without_end_are_refused_quickly() {
    let begun = Instant::now();
    // A tuple in a tuple, a million times: dropping it must not overflow the stack.
    let deep = row(&[vec![b')'], vec![0x85; 1_000_000]].concat());
    assert_eq!(read(&deep).unwrap_err().to_string(), PthError::Empty.to_string());
    // Forty dictionaries, each with the one before it twice: 2^40 ways to the innermost.
    let twice = b"q\x000}X\x01\x00\x00\x00ah\x00sX\x01\x00\x00\x00bh\x00s";
    let bomb = row(&[&b"}"[..], &twice.repeat(40)].concat());
    assert!(matches!(read(&bomb), Err(PthError::Excessive { .. })));
    // Fewer levels, and more ways.
    let many = [b"q\x000}", &b"K\x01h\x00s".repeat(200)[..]].concat();
    let wide = row(&[&b"}"[..], &many.repeat(10)].concat());
    assert!(matches!(read(&wide), Err(PthError::Excessive { what: "entries", .. })));
    let endless = row(&vec![b')'; OPERATIONS_PLUS]);
    assert!(matches!(read(&endless), Err(PthError::Excessive { what: "operations of a pickle", .. })));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// More than the machine performs.
const OPERATIONS_PLUS: usize = (1 << 22) + 1;
