//! Every reader of bytes that others write, against bytes that nobody would write: no panic, no hang, and an answer.
//!
//! Each law is tried on a small number of inputs, on `INTRADA_FUZZ` of them if that is set: `INTRADA_FUZZ=100000 cargo test
//! --test it fuzz::` takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use intrada_runner::dataset::{self, Place, folder};
use intrada_runner::digest::{Digest, Key};
use intrada_runner::exec::job::Event;
use intrada_runner::finding;
use intrada_runner::graph;
use intrada_runner::pipeline::Look;
use intrada_runner::store::index::Index;
use intrada_runner::store::listing::Listing;
use intrada_runner::store::{Store, Trace};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::sample::{self, select};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

fn cases() -> ProptestConfig {
    let asked = std::env::var("INTRADA_FUZZ").ok().and_then(|number| number.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(32)) }
}

/// What is done to a text: at a place, so many bytes give way to something else.
#[derive(Clone, Debug)]
struct Edit {
    at: sample::Index,
    length: usize,
    new: Vec<u8>,
}

fn edits(tokens: &'static [&'static str]) -> impl Strategy<Value = Vec<Edit>> {
    let new = prop_oneof![
        3 => select(tokens).prop_map(|token| token.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
        1 => Just(Vec::new()),
    ];
    vec((any::<sample::Index>(), 0_usize..24, new).prop_map(|(at, length, new)| Edit { at, length, new }), 1..6)
}

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for Edit { at, length, new } in edits {
        let at = at.index(bytes.len() + 1);
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, new.iter().copied());
    }
    bytes
}

const TOML: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    "\"",
    "'",
    "\"\"\"",
    "#",
    "\n",
    ",",
    ".",
    "[stages.x]",
    "[stages.x.matrix]",
    "kind = ",
    "\"command\"",
    "\"inter-training\"",
    "\"ranking\"",
    "inputs = [\"x\"]",
    "outputs = [\"../x\"]",
    "weights = \"inter\"",
    "weights = [\"inter\", \"intra.best\"]",
    "lambda = nan",
    "lambda = [0.1, 0.2]",
    "iterations = -1",
    "9223372036854775808",
    "1e999",
    "size = [0, 0]",
    "[datasets.x]",
    "root = \"/\"",
    "include = [{}]",
    "exclude = [{ lambda = 1 }]",
    "${matrix.x}",
    "\\u0000",
    "\u{feff}",
    "true",
    "1979-05-27",
    "0x",
    "inf",
];

/// The pipelines that are handed out.
fn pipelines() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Reads a pipeline; mistakes must have words.
fn read_pipeline(folder: &Path, bytes: &[u8], set: &[String]) {
    let file = folder.join("p.toml");
    fs::write(&file, bytes).unwrap();
    if let Err(problems) = graph::load(&file, set) {
        assert!(!problems.render(Look::Plain).trim().is_empty());
    }
}

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "-1",
    "1e999",
    "0.1",
    "\"format\":",
    "\"key\":",
    "\"checksum\":",
    "\n",
    "\\u0000",
    "\"event\":",
    "\"outputs\":",
    "18446744073709551616",
];

/// A store with one trace, for all cases: to make one for each would take longer than what is tried.
struct Shelf {
    _dir: tempfile::TempDir,
    store: Store,
    trace: Trace,
    path: PathBuf,
    whole: Vec<u8>,
}

static SHELF: LazyLock<Shelf> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let key = Key(Digest::of(b"key"));
    let trace = Trace::new(key, "demo", "rank", "ranking", serde_json::json!({"lambda": "0.67"}));
    store.publish(&trace, &[]).unwrap();
    let name = key.to_string();
    let path = store.root().join("traces").join(&name[..2]).join(format!("{}.json", &name[2..]));
    let whole = fs::read(&path).unwrap();
    Shelf { _dir: dir, store, trace, path, whole }
});

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_bytes_as_a_pipeline_are_read_or_refused_with_words(bytes in vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        read_pipeline(dir.path(), &bytes, &[]);
    }

    #[test]
    fn a_pipeline_edited_at_random_is_read_or_refused_with_words(
        which in any::<sample::Index>(), edits in edits(TOML), set in vec(select(TOML), 0..2),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let all = pipelines();
        let set: Vec<String> = set.into_iter().map(|value| format!("stages.rank.lambda={value}")).collect();
        read_pipeline(dir.path(), &edited(all[which.index(all.len())].clone(), &edits), &set);
    }

    #[test]
    fn a_pipeline_of_nothing_but_its_words_is_read_or_refused_with_words(words in vec(select(TOML), 0..40)) {
        let dir = tempfile::tempdir().unwrap();
        read_pipeline(dir.path(), words.join(" ").as_bytes(), &[]);
    }

    #[test]
    fn a_trace_edited_at_random_is_what_it_was_or_none(edits in edits(JSON)) {
        let Shelf { store, trace, path, whole, .. } = &*SHELF;
        let altered = edited(whole.clone(), &edits);
        // A damaged one of the case before lies in quarantine, an intact one here, read-only.
        let _ = fs::remove_file(path);
        fs::write(path, &altered).unwrap();
        let found = store.load(trace.key).unwrap();
        prop_assert_eq!(found.is_some(), altered == *whole);
        prop_assert!(found.is_none_or(|found| found == *trace));
    }

    #[test]
    fn an_index_of_any_bytes_is_read_or_empty(
        bytes in vec(any::<u8>(), 0..300), is_sealed in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let mut content = b"intrada index 2\n".to_vec();
        content.extend(bytes);
        if is_sealed {
            // With the right checksum, what is inside is all that can be wrong.
            let digest = Digest::of(&content);
            content.extend(digest.as_bytes());
        }
        fs::write(&path, &content).unwrap();
        let index = Index::load(&path);
        prop_assert!(is_sealed || index == Index::default());
    }

    #[test]
    fn a_listing_of_any_bytes_is_canonical_or_none(bytes in vec(any::<u8>(), 0..200), has_tag in any::<bool>()) {
        let bytes = if has_tag { [&b"intrada listing 1\n"[..], &bytes].concat() } else { bytes };
        if let Ok(listing) = Listing::decode(&bytes) {
            prop_assert_eq!(listing.encode(), bytes);
        }
    }

    #[test]
    fn findings_of_any_bytes_are_passed_over(lines in vec(prop_oneof![select(JSON).prop_map(str::to_owned), ".{0,40}"], 0..20)) {
        let text = lines.concat();
        let sealed = format!("{} {text}\n", Digest::of(text.as_bytes()));
        prop_assert!(finding::read(text.as_bytes()).is_empty());
        prop_assert!(finding::read(sealed.as_bytes()).is_empty());
    }

    #[test]
    fn a_line_of_a_worker_is_an_event_or_none(words in vec(select(JSON), 0..20), edits in edits(JSON)) {
        let event = Event::Resumed { at: 100 };
        let line = serde_json::to_vec(&event).unwrap();
        let _ = serde_json::from_str::<Event>(&words.concat());
        if let Ok(found) = serde_json::from_slice::<Event>(&edited(line, &edits)) {
            prop_assert!(!serde_json::to_string(&found).unwrap().is_empty());
        }
    }

    #[test]
    fn a_list_of_any_lines_names_images_or_is_refused(
        lines in vec(prop_oneof![select(&["a", "a.png", "b.png", "/a", "../a", "./a", " a ", "", "# a", "a\r", "\u{feff}a"][..])
            .prop_map(str::to_owned), ".{0,20}"], 0..6),
        tail in vec(any::<u8>(), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("images")).unwrap();
        ["a.png", "b.png"].iter().for_each(|name| fs::write(dir.path().join("images").join(name), "").unwrap());
        fs::write(dir.path().join("list"), [lines.join("\n").into_bytes(), tail].concat()).unwrap();
        let place = Place { images: "images".into(), labels: "labels".into(), within: Vec::new(), list: Some("list".into()) };
        match dataset::list(dir.path(), &place, &folder::NAMING, false, &|_| false) {
            Ok(listed) => {
                let named = |sample: &dataset::Sample| dir.path().join(&sample.image).exists();
                prop_assert!(!listed.samples.is_empty() && listed.samples.iter().all(named));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
