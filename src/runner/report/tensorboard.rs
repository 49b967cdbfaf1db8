//! Event files for TensorBoard: what a training's own files say, in the form that TensorBoard reads.
//!
//! Made from `losses.jsonl`, `evaluations.jsonl` and pictures; holds nothing that isn't in those. So events are views, no
//! outputs of a stage: they enter no key, and deleting them loses nothing. A training that was killed and went on has one file
//! without a step twice, as its `losses.jsonl` has none. Nobody notes when an iteration was: the step stands in for the
//! wall-clock time, in seconds, so that equal trainings have equal events.
//!
//! The format: `TFRecord` frames (length, its masked CRC-32C, data, their masked CRC-32C) around protocol buffers, of which a
//! few fields are written here by hand (tensorflow/core/util/event.proto, framework/summary.proto).

use std::collections::BTreeMap;

use serde_json::Value;

/// Events of one stage, as the bytes of a file.
pub struct Events(Vec<u8>);

impl Default for Events {
    fn default() -> Events {
        let mut events = Events(Vec::new());
        events.event(0, 3, b"brain.Event:2");
        events
    }
}

impl Events {
    /// Adds the lines of a `losses.jsonl` as `loss/<column>` and `lr`. Lines and values that are no numbers are left out.
    pub fn losses(&mut self, text: &str) {
        for row in text.lines().filter_map(|line| serde_json::from_str::<BTreeMap<String, Value>>(line).ok()) {
            let step = row.get("iteration").and_then(Value::as_u64).unwrap_or(0);
            let columns = row.iter().filter(|(name, _)| *name != "iteration");
            let tag = |name: &str| if name.starts_with("lr") { name.to_owned() } else { format!("loss/{name}") };
            self.scalars(step, columns.filter_map(|(name, value)| Some((tag(name), value.as_f64()?))));
        }
    }

    /// Adds the lines of an `evaluations.jsonl` as `miou/target` and `iou/<class>`, from 0 to 1.
    pub fn evaluations(&mut self, text: &str) {
        for row in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let step = row["iteration"].as_u64().unwrap_or(0);
            let classes = row["iou"].as_object().into_iter().flatten();
            let classes = classes.filter_map(|(class, iou)| Some((format!("iou/{class}"), iou.as_f64()?)));
            let mean = row["miou"].as_f64().map(|miou| ("miou/target".to_owned(), miou));
            self.scalars(step, mean.into_iter().chain(classes));
        }
    }

    /// Adds a PNG. What isn't one is left out.
    pub fn picture(&mut self, tag: &str, png: &[u8]) {
        let Some((width, height)) = size_of_png(png) else { return };
        let mut image = Vec::new();
        [(1, height), (2, width), (3, 3)]
            .iter()
            .for_each(|(field, value)| put_integer(&mut image, *field, (*value).into()));
        put_bytes(&mut image, 4, png);
        let mut value = Vec::new();
        put_bytes(&mut value, 1, tag.as_bytes());
        put_bytes(&mut value, 4, &image);
        let mut summary = Vec::new();
        put_bytes(&mut summary, 1, &value);
        self.event(0, 5, &summary);
    }

    /// The file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn scalars(&mut self, step: u64, scalars: impl Iterator<Item = (String, f64)>) {
        let mut summary = Vec::new();
        for (tag, scalar) in scalars {
            let mut value = Vec::new();
            put_bytes(&mut value, 1, tag.as_bytes());
            put_tag(&mut value, 2, 5);
            value.extend((scalar as f32).to_le_bytes());
            put_bytes(&mut summary, 1, &value);
        }
        if !summary.is_empty() {
            self.event(step, 5, &summary);
        }
    }

    /// An event of which `field` is `content`.
    fn event(&mut self, step: u64, field: u32, content: &[u8]) {
        let mut event = Vec::new();
        put_tag(&mut event, 1, 1);
        event.extend((step as f64).to_le_bytes());
        put_integer(&mut event, 2, step);
        put_bytes(&mut event, field, content);
        let length = (event.len() as u64).to_le_bytes();
        for part in [&length[..], &event] {
            self.0.extend(part);
            self.0.extend(masked_crc32c(part).to_le_bytes());
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `wire`: 0 for a varint, 1 for 8 bytes, 2 for bytes with their length, 5 for 4 bytes.
fn put_tag(out: &mut Vec<u8>, field: u32, wire: u32) {
    put_varint(out, (field << 3 | wire).into());
}

fn put_integer(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, 0);
    put_varint(out, value);
}

fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_tag(out, field, 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// Width and height, from the first chunk.
fn size_of_png(png: &[u8]) -> Option<(u32, u32)> {
    let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..16)?.strip_prefix(b"IHDR")?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    Some((number(0)?, number(4)?))
}

/// CRC-32C (Castagnoli), of each byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Masked as `TFRecord` wants it: a checksum of data that hold a checksum would be too regular (tensorflow/core/lib/hash/crc32c.h).
fn masked_crc32c(bytes: &[u8]) -> u32 {
    let crc = !bytes.iter().fold(!0u32, |crc, byte| TABLE[(crc as u8 ^ byte) as usize] ^ crc >> 8);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const LOSSES: &str = concat!(
        r#"{"iteration":0,"seg_main":2.5,"adv_main":null,"lr":0.1}"#,
        "\n",
        r#"{"iteration":300,"seg_main":0.25,"adv_main":0.5,"lr":0.05}"#,
        "\n"
    );
    const EVALUATIONS: &str = r#"{"iteration":300,"miou":0.5,"iou":{"sky":0.75,"pole":null}}"#;

    fn png() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&[7; 18]).unwrap();
        bytes
    }

    fn sample() -> Vec<u8> {
        let mut events = Events::default();
        events.losses(LOSSES);
        events.evaluations(EVALUATIONS);
        events.picture("pictures/inter/a", &png());
        events.into_bytes()
    }

    /// The data of each frame, whose checksums are looked at.
    fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked_crc32c(&bytes[..8]).to_le_bytes());
            let data = &bytes[12..12 + length];
            assert_eq!(bytes[12 + length..16 + length], masked_crc32c(data).to_le_bytes());
            frames.push(data);
            bytes = &bytes[16 + length..];
        }
        frames
    }

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        let unmasked = |bytes: &[u8]| masked_crc32c(bytes).wrapping_sub(0xa282_ead8).rotate_left(15);
        // RFC 3720, B.4, and the usual check value.
        assert_eq!(unmasked(&[0; 32]), 0x8a91_36aa);
        assert_eq!(unmasked(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn each_line_is_one_event_with_its_step_and_its_numbers() {
        let bytes = sample();
        let frames = frames(&bytes);
        assert_eq!(frames.len(), 5);
        let holds = |frame: &[u8], part: &[u8]| frame.windows(part.len()).any(|window| window == part);
        assert!(holds(frames[0], b"brain.Event:2"));
        assert!(holds(frames[1], b"loss/seg_main") && !holds(frames[1], b"adv_main"));
        assert!(holds(frames[2], b"loss/adv_main") && holds(frames[2], &0.25f32.to_le_bytes()));
        // Wall time 300.0, then field 2 with the varint 300.
        assert_eq!(frames[2][..12], [&[0x09][..], &300.0f64.to_le_bytes(), &[0x10, 0xac, 0x02]].concat());
        assert!(holds(frames[3], b"miou/target") && holds(frames[3], b"iou/sky") && !holds(frames[3], b"iou/pole"));
        assert!(holds(frames[4], b"pictures/inter/a") && holds(frames[4], &png()));
    }

    #[test]
    fn what_is_no_picture_and_no_line_is_left_out() {
        let mut events = Events::default();
        events.picture("pictures/x", b"\x89PNG\r\n\x1a\nshort");
        events.losses("not json\n[]\n{\"iteration\":1}\n");
        assert_eq!(frames(&events.into_bytes()).len(), 1);
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
        // A field of float32 holds 0.1 as the number nearest to it.
        let expected = format!(
            "iou/sky [(300, 0.75)]\nloss/adv_main [(300, 0.5)]\nloss/seg_main [(0, 2.5), (300, 0.25)]\n\
             lr [(0, {}), (300, {})]\nmiou/target [(300, 0.5)]\npictures/inter/a [(0, 3, 2)]\n",
            f64::from(0.1f32),
            f64::from(0.05f32)
        );
        assert_eq!(text, expected);
    }
}
