//! Events of a training in pieces and at once, and what TensorBoard itself reads of them.

use std::process::Command;

use proptest::prelude::*;

use super::record::frames;
use super::*;

const LOSSES: &str = concat!(
    r#"{"iteration":0,"seg_main":2.5,"adv_main":null,"lr":0.1}"#,
    "\n",
    r#"{"iteration":1,"seg_main":0.25,"adv_main":0.5,"lr":0.05}"#,
    "\n"
);
const EVALUATIONS: &str = concat!(
    r#"{"iteration":1,"miou":0.5,"iou":{"sky":0.75,"pole":null}}"#,
    "\n",
    r#"{"iteration":2,"miou":0.25,"iou":{}}"#,
    "\n"
);

const CANDIDATES: &str = concat!(
    r#"{"iteration":2,"soft_neighbourhood_density":1.5,"entropy":0.25,"agreement":0.75,"images":2,"pixels":200}"#,
    "\n",
);

/// The beginning of a JPEG of 5 × 4 pixels: a comment, then the start of the frame.
const JPEG: &[u8] = b"\xff\xd8\xff\xfe\x00\x05abc\xff\xc0\x00\x0b\x08\x00\x04\x00\x05\x01\x01\x11\x00";

fn png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&[7; 18]).unwrap();
    bytes
}

fn sample() -> Vec<u8> {
    let mut events = Events::beginning();
    let mut progress = Progress::default();
    let pictures = [(1, vec![("pictures/a".to_owned(), png())]), (2, vec![("pictures/b".to_owned(), JPEG.to_vec())])];
    let pictures = pictures.into();
    let looks = Looks { evaluations: EVALUATIONS, candidates: CANDIDATES };
    progress.follow(LOSSES.as_bytes(), looks, &pictures, &mut events);
    progress.end(&pictures, &mut events);
    events.bytes().to_vec()
}

#[test]
fn each_line_is_one_event_with_its_numbers_in_the_order_in_which_they_came_about() {
    let bytes = sample();
    let frames = frames(&bytes);
    assert_eq!(frames.len(), 9);
    let holds = |frame: &[u8], part: &[u8]| frame.windows(part.len()).any(|window| window == part);
    assert!(holds(frames[0], b"brain.Event:2"));
    assert!(frames[1].ends_with(&[0x3a, 2, 0x08, 1]), "field 7, a session log whose status is START");
    assert!(holds(frames[2], b"loss/seg_main") && !holds(frames[2], b"adv_main"));
    assert!(holds(frames[3], b"miou/target") && holds(frames[3], b"iou/sky") && !holds(frames[3], b"iou/pole"));
    assert!(holds(frames[4], b"pictures/a") && holds(frames[4], &png()));
    assert!(holds(frames[5], b"loss/adv_main") && holds(frames[5], &0.25f32.to_le_bytes()));
    assert!(holds(frames[6], b"miou/target"));
    assert!(holds(frames[7], b"candidates/entropy") && holds(frames[7], b"candidates/soft-neighbourhood-density"));
    assert!(holds(frames[8], b"pictures/b") && holds(frames[8], JPEG));
}

#[test]
fn what_is_no_picture_and_no_line_is_left_out() {
    let mut events = Events::beginning();
    events.picture(0, "pictures/x", b"\x89PNG\r\n\x1a\nshort");
    // Its size ends there.
    (0..18).for_each(|end| events.picture(0, "pictures/x", &JPEG[..end]));
    let looks = Looks { evaluations: "{", candidates: "{}\n{\"iteration\":1}" };
    Progress::default().follow(b"not json\n[]\n{\"iteration\":1}\n", looks, &Pictures::new(), &mut events);
    assert_eq!(frames(events.bytes()).len(), 2);
}

proptest! {
    #[test]
    fn pieces_give_the_events_of_the_whole(
        iterations in 1u64..30, every in 1u64..8, looks in prop::collection::btree_set(0usize..3000, 0..12),
    ) {
        let row = |i: u64| format!("{{\"iteration\":{i},\"seg_main\":{},\"lr\":0.5}}\n", 1.0 / (i + 1) as f64);
        let losses: String = (0..iterations).map(row).collect();
        let evaluation = |i: &u64| format!("{{\"iteration\":{i},\"miou\":0.25,\"iou\":{{}}}}\n");
        let evaluated: Vec<u64> = (1..=iterations).filter(|i| i % every == 0 || *i == iterations).collect();
        let evaluations = |upto: u64| evaluated.iter().filter(|i| **i <= upto).map(evaluation).collect::<String>();
        let drawn = |after: u64, upto: u64| -> Pictures {
            let moments = (after + 1..=upto).filter(|i| i % 3 == 0 || *i == iterations);
            moments.map(|i| (i, vec![(i.to_string(), png())])).collect()
        };
        let (mut whole, mut at_once) = (Events::beginning(), Progress::default());
        // Candidates come about as evaluations do.
        let candidates = |upto: u64| -> String {
            let scores = "\"soft_neighbourhood_density\":1,\"entropy\":0.5,\"agreement\":0.5,\"images\":1,\"pixels\":1";
            evaluated.iter().filter(|i| **i <= upto).map(|i| format!("{{\"iteration\":{i},{scores}}}\n")).collect()
        };
        let (all, scored) = (evaluations(iterations), candidates(iterations));
        let found = Looks { evaluations: &all, candidates: &scored };
        at_once.follow(losses.as_bytes(), found, &drawn(0, iterations), &mut whole);
        at_once.end(&drawn(0, iterations), &mut whole);

        let (mut pieces, mut progress) = (Events::beginning(), Progress::default());
        for look in looks.into_iter().map(|look| look.min(losses.len())).chain([losses.len()]) {
            let begun = losses[..look].lines().count() as u64;
            // Once an iteration's line has begun, the evaluations before it are present; the one after it may be.
            let upto = if look % 2 == 0 { begun.saturating_sub(1) } else { begun };
            let upto = if look == losses.len() { iterations } else { upto };
            let (there, scored) = (evaluations(upto), candidates(upto));
            let found = Looks { evaluations: &there, candidates: &scored };
            let mut pictures = drawn(progress.pictures, begun.saturating_sub(1));
            pictures.insert(begun, vec![("in pieces".to_owned(), png())]);
            let from = progress.losses as usize;
            progress.follow(&losses.as_bytes()[from..look.max(from)], found, &pictures, &mut pieces);
        }
        progress.end(&drawn(progress.pictures, iterations), &mut pieces);
        prop_assert_eq!(pieces.bytes(), whole.bytes());
    }
}

#[test]
fn tensorboard_reads_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("events.out.tfevents.0.test"), sample()).unwrap();
    let program = "import sys
try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print('no tensorboard'); sys.exit()
events = EventAccumulator(sys.argv[1]); events.Reload()
for tag in sorted(events.Tags()['scalars']):
    print(tag, [(s.step, s.value) for s in events.Scalars(tag)])
for tag in events.Tags()['images']:
    print(tag, [(i.step, i.width, i.height) for i in events.Images(tag)])";
    let Ok(output) = Command::new("python3").args(["-c", program]).arg(dir.path()).output() else {
        return println!("skipped: there is no python3");
    };
    let text = String::from_utf8(output.stdout).unwrap();
    if text.contains("no tensorboard") {
        return println!("skipped: `import tensorboard` fails");
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A float32 field holds the nearest number to 0.1.
    let expected = format!(
        "candidates/agreement [(2, 0.75)]\ncandidates/entropy [(2, 0.25)]\n\
         candidates/soft-neighbourhood-density [(2, 1.5)]\niou/sky [(1, 0.75)]\nloss/adv_main [(1, 0.5)]\nloss/seg_main [(0, 2.5), (1, 0.25)]\n\
         lr [(0, {}), (1, {})]\nmiou/target [(1, 0.5), (2, 0.25)]\npictures/a [(1, 3, 2)]\npictures/b [(2, 5, 4)]\n",
        f64::from(0.1f32),
        f64::from(0.05f32)
    );
    assert_eq!(text, expected);
}
