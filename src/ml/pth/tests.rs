//! Files of PyTorch (written by tests_data/pth.py), the same files damaged, and malicious files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use intrada_data::input_file::InputFile;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tch::{Device, Kind, Tensor};

use super::*;
use crate::checkpoint;

const FILES: [&str; 8] =
    ["zip", "zip-protocol-4", "row", "record-zip", "record-row", "protocol-1-zip", "protocol-1-row", "python2"];
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
    let wanted: Vec<String> = expected.iter().map(|(key, _)| (*key).to_owned()).collect();
    for name in FILES[..7].iter().chain(&["no-checksum"]) {
        let read = checkpoint::read_network(&InputFile::new(path(name)), std::slice::from_ref(&wanted)).unwrap();
        let found = read.tensors;
        for (key, tensor) in &expected {
            assert_eq!((&found[*key], found[*key].kind()), (tensor, tensor.kind()), "{name}: {key}");
        }
        assert_eq!(found.len(), expected.len(), "{name}");
        let is_record = name.starts_with("record");
        assert_eq!(read.wrapping.below, if is_record { "state_dict.module." } else { "" }, "{name}");
        // Of a training's record only the network is read, which is reported.
        let beside = read.wrapping.beside.iter().map(|part| (part.name.as_str(), part.tensors)).collect::<Vec<_>>();
        assert_eq!(beside, if is_record { vec![("optimizer", 1)] } else { vec![] }, "{name}");
    }
    let bytes = file("row");
    let names: Vec<String> = read(&bytes).unwrap().arrays.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected.map(|(name, _)| name), "in the file's order");
}

#[test]
fn a_network_that_is_an_element_of_a_list_is_read_where_it_is_nowhere_else() {
    let bytes = file("zip");
    let wanted: Vec<String> = read(&bytes).unwrap().arrays.into_iter().map(|(name, _)| name).collect();
    let found = |name: &str| checkpoint::read_network(&InputFile::new(path(name)), std::slice::from_ref(&wanted));
    for (name, below) in [("in-tuple", "0."), ("in-list", "0."), ("in-record", "models.0."), ("beside-list", "net.")] {
        let read = found(name).unwrap();
        assert_eq!((read.tensors.len(), read.wrapping.below.as_str()), (wanted.len(), below), "{name}");
    }
    let several = found("two-in-list").unwrap_err().to_string();
    assert!(several.contains("2 times, and their values differ: below `0.` and `1.`"), "{several}");
    let other = checkpoint::read_network(&InputFile::new(path("in-list")), &[vec!["a".to_owned()]]).unwrap_err();
    assert!(other.to_string().contains("Of the file's 11 tensors the network doesn't know `0."), "{other}");
}

#[test]
fn a_list_that_holds_itself_and_one_without_end_are_no_harm() {
    // A list as its own element, twice, and a dictionary in a list as deep as a file can make it.
    let within_itself = b"]q\x00(h\x00h\x00}X\x01\x00\x00\x00aK\x01se";
    assert!(matches!(read(&row(within_itself)), Err(PthError::Empty)));
    let deep = [vec![b']'; 5000], vec![b'a'; 4999]].concat();
    assert!(matches!(read(&row(&deep)), Err(PthError::Empty)));
    let many = [&b"]("[..], &b"}".repeat(100_000), b"e"].concat();
    assert!(matches!(read(&row(&many)), Err(PthError::Empty)));
}

#[test]
fn a_file_of_python_2_is_read_with_the_view_that_its_storage_is() {
    let bytes = file("python2");
    let named = read(&bytes).unwrap().arrays;
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
    // Other functions of Python's library that could run something are refused; objects of unknown classes are not.
    let call = |global: &str, operation: &[u8]| {
        let object = [&b"}X\x01\x00\x00\x00ac"[..], global.as_bytes(), b"\n)", operation, b"s"].concat();
        read(&row(&object)).map(|contents| contents.arrays.len())
    };
    let python = [
        "builtins\nexec",
        "__builtin__\neval",
        "subprocess\nrun",
        "numpyro\nf",
        "os.path\njoin",
        "copyreg\nconstructor",
    ];
    // PyTorch and NumPy have functions that execute their arguments, too; `weights_only` refuses these.
    let libraries = [
        "torch.hub\nload",
        "torch.utils.cpp_extension\nload_inline",
        "torch.storage\n_load_from_bytes",
        "torch\nload",
        "torch._utils\n_import_dotted_name",
        "torch.serialization\nload",
        "torch.jit\nload",
        "numpy.testing\nrunstring",
        "numpy\nload",
        "numpy.f2py\ncompile",
        "argparse\nFileType",
        "pathlib\nos.system",
        "collections\nnamedtuple",
    ];
    for global in python.iter().chain(&libraries) {
        let error = call(global, b"R").unwrap_err();
        assert!(matches!(error, PthError::Call { .. }), "{global}: {error}");
        assert!(error.to_string().contains(&format!("`{}`", global.replace('\n', "."))), "{error}");
        // Nor in the form of old classes, or in place of the function that makes a tensor.
        let instance = [&b"}X\x01\x00\x00\x00a(c"[..], global.as_bytes(), b"\nos"].concat();
        assert!(matches!(read(&row(&instance)), Err(PthError::Call { .. })), "{global}");
        let inner = [&b"}X\x01\x00\x00\x00actorch._tensor\n_rebuild_from_type_v2\n(c"[..], global.as_bytes()].concat();
        let inner = [&inner, &b"\nctorch\nTensor\n)}tRs"[..]].concat();
        assert!(matches!(read(&row(&inner)), Err(PthError::Call { .. })), "{global}");
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
fn a_file_cut_anywhere_is_an_error_and_one_with_a_byte_changed_is_never_a_panic() {
    for name in FILES {
        let whole = file(name);
        let is_archive = whole.starts_with(b"PK");
        let undamaged = read(&whole).unwrap();
        for at in 0..whole.len() {
            assert!(read(&whole[..at]).is_err(), "{name} cut to {at} bytes");
            for bits in [0x01, 0x80, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] ^= bits;
                // Only archives have checksums.
                let found = read(&damaged);
                let same = |found: &Contents| found.arrays == undamaged.arrays;
                assert!(
                    !is_archive || found.as_ref().map_or(true, same),
                    "{name}: byte {at} ^ {bits:#x} is another network"
                );
            }
        }
    }
}

#[test]
fn what_stands_in_the_place_of_a_tensor_is_named_and_never_missing() {
    let whats = [
        ("sparse", "a sparse tensor; save `tensor.to_dense()`"),
        ("rows", "a sparse tensor"),
        ("quantised", "a quantised tensor"),
        ("meta", "a tensor of the device `meta`"),
        ("nested", "a nested tensor"),
        ("complex", "a tensor of `ComplexFloatStorage`"),
        ("numpy", "a NumPy array"),
        ("storage", "a storage, which has elements and no shape"),
        ("scaled", "a tensor of the class `__main__.Scaled`"),
        ("wrapper", "a tensor of the class `__main__.Scaled`"),
    ];
    for name in ["odd-zip", "odd-row"] {
        let bytes = file(name);
        let contents = read(&bytes).unwrap();
        let read: Vec<&str> = contents.arrays.iter().map(|(name, _)| name.as_str()).collect();
        // An attribute of Python's makes no other tensor of one.
        assert_eq!(read, ["attribute", "parameter", "last"], "{name}");
        for (key, what) in whats {
            let odd = contents.odd.iter().find(|(name, _)| name == key).expect(key).1.to_string();
            assert!(odd.starts_with(what), "{odd}");
            let wanted = ["last", key].map(str::to_owned).to_vec();
            let error = checkpoint::read_network(&InputFile::new(path(name)), &[wanted]).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}.pth: `{key}` is {what}")), "{error}");
        }
    }
    assert_eq!(*read(&file("odd-zip")).unwrap().arrays[2].1.bytes, 4f32.to_le_bytes());
}

#[test]
fn a_network_that_was_saved_whole_is_refused_with_what_to_do() {
    for name in ["whole-zip", "whole-row"] {
        let error = checkpoint::read_network(&InputFile::new(path(name)), &[vec!["weight".to_owned()]])
            .unwrap_err()
            .to_string();
        let said =
            "`model` is a whole network of the class `__main__.Net`, which contains code; save `model.state_dict()`";
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_a_training_saves_beside_tensors_hides_none_of_them() {
    for name in ["python-zip", "python-row"] {
        let bytes = file(name);
        let read = read(&bytes).unwrap();
        let below = read.arrays.iter().filter(|(name, _)| name.starts_with("state_dict.")).count();
        assert_eq!(below, 11, "{name}");
    }
    let bytes = file("default");
    let names: Vec<String> = read(&bytes).unwrap().arrays.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a"], "a dictionary of another class is one");
    // As Python 2 saved an ordered dictionary, and one of a class of somebody's own.
    let storage = b"(X\x07\x00\x00\x00storagectorch\nByteStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ";
    let tensor = [b"ctorch._utils\n_rebuild_tensor_v2\n(", &storage[..], b"K\x00K\x01\x85K\x01\x85\x89NtR"].concat();
    let pairs = [b"ccollections\nOrderedDict\n(](](X\x01\x00\x00\x00b", &tensor[..], b"eetR"].concat();
    let own = [b"cmine\nStateDict\n)\x81X\x01\x00\x00\x00b", &tensor[..], b"s"].concat();
    for object in [pairs, own] {
        let mut file = row(&object);
        let keys = file.len() - b"].".len();
        file.splice(keys.., [&b"]X\x01\x00\x00\x000a."[..], &1u64.to_le_bytes(), &[42]].concat());
        let found = read(&file).unwrap().arrays;
        assert_eq!((found[0].0.as_str(), &*found[0].1.bytes), ("b", &[42][..]));
    }
}

#[test]
fn what_is_no_checkpoint_is_told_apart() {
    let says = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(says(b"\x80\x02}q\x00.").starts_with("a pickle, but not one of torch.save"));
    assert!(says(&file("protocol-0-zip")).starts_with("a pickle of protocol 0"));
    assert!(says(&file("protocol-0-row")).starts_with("a pickle of protocol 0"));
    assert!(says(&file("script")).starts_with("a TorchScript archive"));
    assert!(says(&file("list")).starts_with("its 2 tensors have no names"));
    assert!(says(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").contains("it holds nothing"));
    assert!(says(&zipped(&[("a/b.pth", b"x"), ("a/\x1b[2J", b"y")])).contains("it holds `a/b.pth`, `a/\\u{1b}[2J`"));
    assert!(says(b"PK\x03\x04 and then nothing").starts_with("damaged zip archive: "));
    assert_eq!(says(&row(b"}")), PthError::Empty.to_string());
    assert_eq!(says(&row(b"\x99")), "operation 0x99 at byte 2 of a pickle doesn't belong in a checkpoint");
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

#[test]
fn a_tensor_without_a_name_is_told_as_one() {
    let storage = b"(X\x07\x00\x00\x00storagectorch\nByteStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ";
    let tensor = [b"ctorch._utils\n_rebuild_tensor_v2\n(", &storage[..], b"K\x00K\x01\x85K\x01\x85\x89NtR"].concat();
    let says = |object: &[u8]| read(&row(object)).unwrap_err().to_string();
    assert!(says(&tensor).starts_with("it holds a single tensor, without a name; save a state dict"));
    assert!(says(&[b"]", &tensor[..], b"a"].concat()).starts_with("its tensor has no name, as it is in a list"));
}

#[test]
fn a_damaged_archive_is_told_in_words_that_are_not_a_library_s() {
    let whole = file("zip");
    let list = whole.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    let mut told = std::collections::BTreeSet::new();
    for at in list..whole.len() {
        for bits in [0x01, 0xFF] {
            let mut damaged = whole.clone();
            damaged[at] ^= bits;
            told.extend(read(&damaged).err().map(|error| error.to_string()));
        }
        told.extend(read(&whole[..at]).err().map(|error| error.to_string()));
    }
    assert!(told.iter().any(|text| text.contains("its list of records can't be read")), "{told:?}");
    for text in told {
        // `checksum (CRC-32)` is the one abbreviation.
        let text = text.replace("(CRC-32)", "");
        let words = text.split('`').step_by(2).flat_map(|part| part.split_whitespace());
        let is_a_type = |word: &str| word.chars().skip(1).any(char::is_uppercase) || word.contains("::");
        assert_eq!(words.filter(|word| is_a_type(word)).collect::<Vec<_>>(), [""; 0], "{text}");
    }
}

/// A ZIP archive of these records.
fn zipped(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in records {
        archive.start_file(*name, stored).unwrap();
        std::io::Write::write_all(&mut archive, bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
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
    assert_eq!(*read(&one).unwrap().arrays[0].1.bytes, [42]);
    let huge = b"\x8a\x06\x00\x00\x00\x00\x00\x10\x85"; // 2^44, as a LONG1
    let beyond = read(&row_with_tensor(huge, b"K\x01\x85")).unwrap_err();
    assert!(matches!(beyond, PthError::Excessive { what: "bytes of elements", .. }), "{beyond}");
    // Stride 0: every element is the same one, and all are inside.
    let repeated = read(&row_with_tensor(huge, b"K\x00\x85")).unwrap_err();
    assert!(matches!(repeated, PthError::Excessive { .. }), "{repeated}");
    let outside = read(&row_with_tensor(b"K\x02\x85", b"K\x01\x85")).unwrap_err().to_string();
    assert_eq!(outside, "tensor `a` reaches beyond its storage `0`");
    // No element at all, but dimensions whose product overflows: libtorch would crash.
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
    // A function that makes a tensor of a class, in itself.
    let nested =
        b"}X\x01\x00\x00\x00actorch._tensor\n_rebuild_from_type_v2\nq\x01(h\x01ctorch\nTensor\n](h\x01h\x01h\x01e}tRs";
    assert!(matches!(read(&row(nested)), Err(PthError::Broken(_))));
    // A dictionary copied as often as a pickle can say it.
    let large = [&b"}("[..], &b"K\x01K\x01".repeat(100_000), b"uq\x000"].concat();
    let copies = [&large, &b"ccollections\nCounter\n(h\x00tR0".repeat(100_000)[..], b"}"].concat();
    assert!(matches!(read(&row(&copies)), Err(PthError::Excessive { what: "operations of a pickle", .. })));
    // A list that is reached a hundred thousand times.
    let list = [&b"]("[..], &b"K\x01".repeat(100_000), b"eq\x000"].concat();
    let often: Vec<u8> = (0..100_000u32).flat_map(|key| [b"J", &key.to_le_bytes()[..], b"h\x00"].concat()).collect();
    let often = [&list, &b"}("[..], &often, b"u"].concat();
    assert!(matches!(read(&row(&often)), Err(PthError::Empty)));
    let endless = row(&vec![b')'; OPERATIONS_PLUS]);
    assert!(matches!(read(&endless), Err(PthError::Excessive { what: "operations of a pickle", .. })));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// More than the machine performs.
const OPERATIONS_PLUS: usize = (1 << 22) + 1;

/// An archive of float tensors with one side each.
fn drawn_archive(tensors: &[(String, Vec<u32>)]) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let mut object = b"\x80\x02}".to_vec();
    for (place, (name, elements)) in tensors.iter().enumerate() {
        let count = [elements.len() as u8];
        let storage = [
            b"(",
            &text("storage")[..],
            b"ctorch\nFloatStorage\n",
            &text(&place.to_string()),
            &text("cpu"),
            b"K",
            &count,
            b"tQ",
        ];
        let tensor = [
            &b"ctorch._utils\n_rebuild_tensor_v2\n("[..],
            &storage.concat(),
            b"K\x00K",
            &count,
            b"\x85K\x01\x85\x89}tR",
        ];
        object.extend([&text(name)[..], &tensor.concat(), b"s"].concat());
    }
    object.push(b'.');
    let mut records = vec![
        ("w/data.pkl".to_owned(), object),
        ("w/byteorder".to_owned(), b"little".to_vec()),
        ("w/version".to_owned(), b"3\n".to_vec()),
    ];
    for (place, (_, elements)) in tensors.iter().enumerate() {
        records.push((format!("w/data/{place}"), elements.iter().flat_map(|bits| bits.to_le_bytes()).collect()));
    }
    zipped(&records.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn a_drawn_archive_that_is_damaged_gives_an_error_or_the_same_tensors(
        tensors in vec(("[a-z]{1,6}(\\.[a-z0-9]{1,4}){0,2}", vec(any::<u32>(), 0..20)), 1..6),
        damages in vec((any::<Index>(), 1..=255u8), 40),
    ) {
        let whole = drawn_archive(&tensors);
        let undamaged = read(&whole).unwrap().arrays;
        prop_assert!(!undamaged.is_empty());
        for (at, bits) in damages {
            let at = at.index(whole.len());
            prop_assert!(read(&whole[..at]).is_err(), "cut to {} bytes", at);
            let mut damaged = whole.clone();
            damaged[at] ^= bits;
            let found = read(&damaged);
            prop_assert!(found.is_err() || found.unwrap().arrays == undamaged, "byte {} ^ {:#x}", at, bits);
        }
    }
}
