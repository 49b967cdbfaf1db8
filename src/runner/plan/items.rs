//! Splits a stage that works item by item: the items of its data set, and everything else that determines its results.
//!
//! Knows no store. The setting is derived from the manifest, so it includes everything that enters the key except the data
//! set's samples. An item is the content that the stage reads of a sample, without its name: a renamed file is still known.

use std::collections::BTreeMap;

use crate::digest::{Encoder, Item, Setting};
use crate::exec::job::{Dataset, Sample};
use crate::kind::dataset::Margins;

use super::manifest::{Field, Manifest};
use super::sources::SCENES_REVISION;

/// The setting of the findings of a stage with this manifest that processes `dataset`, its input of this role.
pub fn setting(manifest: &Manifest, role: &str, dataset: &Dataset) -> Setting {
    let is_the_data_set = |field: &Field| field.name.strip_prefix("inputs/") == Some(role);
    let fields: Vec<Field> = manifest.fields().into_iter().filter(|field| !is_the_data_set(field)).collect();
    let mut encoder = Encoder::new("intrada/setting/1");
    encoder.list("fields", fields.len());
    for Field { name, value } in &fields {
        encoder.field(name, value.as_bytes());
    }
    let rest = match dataset {
        Dataset::Files { size, scaling, map, encoding, palette, orientation, jpeg, webp, decode, .. } => {
            Dataset::Files {
                samples: Vec::new(),
                size: *size,
                scaling: *scaling,
                map: map.clone(),
                encoding: *encoding,
                palette: palette.clone(),
                orientation: *orientation,
                jpeg: *jpeg,
                webp: *webp,
                // A stage that heeds them doesn't work item by item.
                margins: Margins::default(),
                decode: *decode,
                // It changes no pixel.
                cache: false,
            }
        }
        Dataset::Scenes { style, seed, size, .. } => {
            encoder.field("revision", &SCENES_REVISION.to_le_bytes());
            let (style, margins) = (style.clone(), Margins::default());
            Dataset::Scenes { style, part: String::new(), seed: *seed, count: 0, size: *size, margins }
        }
    };
    let rest = serde_json::to_vec(&rest).expect("a data set is plain data");
    Setting(encoder.field("data set", &rest).finish())
}

/// The item of each sample, by the sample's name.
pub fn items(samples: &[Sample]) -> BTreeMap<String, Item> {
    let item = |sample: &Sample| {
        let mut encoder = Encoder::new("intrada/item/1");
        encoder.field("image", sample.image.content.0.as_bytes());
        if let Some(label) = &sample.label {
            encoder.field("label", label.content.0.as_bytes());
        }
        (sample.name.clone(), Item(encoder.finish()))
    };
    samples.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::{ingredient, ranking};
    use super::*;
    use crate::digest::{Digest, FileDigest};
    use crate::exec::job::Source;
    use crate::kind::dataset::{Fit, Resize, Scaling};

    /// The content of each file is its name.
    fn sample(name: &str, image: &str, label: Option<&str>) -> Sample {
        let source = |path: &str| Source { path: path.into(), content: FileDigest(Digest::of(path.as_bytes())) };
        Sample { name: name.into(), image: source(image), label: label.map(source) }
    }

    fn files(samples: Vec<Sample>, size: Option<[u32; 2]>) -> Dataset {
        scaled(samples, size, Scaling::default())
    }

    fn scaled(samples: Vec<Sample>, size: Option<[u32; 2]>, scaling: Scaling) -> Dataset {
        let (encoding, orientation, margins) = Default::default();
        let (palette, jpeg, webp, decode, cache) = Default::default();
        let map = vec![(7, 0)];
        Dataset::Files {
            samples,
            size,
            scaling,
            map,
            encoding,
            palette,
            orientation,
            jpeg,
            webp,
            margins,
            decode,
            cache,
        }
    }

    fn scenes(seed: u64, count: u32) -> Dataset {
        let margins = Margins::default();
        Dataset::Scenes { style: "target".into(), part: "all".into(), seed, count, size: [8, 4], margins }
    }

    #[test]
    fn whatever_enters_the_key_but_the_samples_makes_another_setting() {
        let of = |manifest: &Manifest| setting(manifest, "images", &files(vec![], None));
        let mut with_images = ranking();
        with_images.inputs.insert("images".into(), ingredient("data set a", b"a"));
        assert_eq!(of(&with_images), of(&ranking()));
        assert_eq!(of(&ranking()), setting(&ranking(), "images", &files(vec![sample("a", "a", None)], None)));

        let mut all = vec![of(&ranking()), setting(&ranking(), "images", &files(vec![], Some([8, 4])))];
        let mut vary = |change: fn(&mut Manifest)| {
            let mut manifest = ranking();
            change(&mut manifest);
            all.push(of(&manifest));
        };
        vary(|m| m.revision = 2);
        vary(|m| drop(m.parameters.insert("lambda".into(), "0.6".into())));
        vary(|m| drop(m.inputs.insert("scores".into(), ingredient("scores of `entropy`", b"others"))));
        vary(|m| m.outputs.truncate(1));
        let boxed = Scaling { fit: Fit::Box, ..Scaling::default() };
        let bilinear = Scaling { resize: Resize::Bilinear, ..Scaling::default() };
        all.extend([boxed, bilinear].map(|how| setting(&ranking(), "images", &scaled(vec![], Some([8, 4]), how))));
        all.extend([1, 2].map(|seed| setting(&ranking(), "images", &scenes(seed, 5))));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(setting(&ranking(), "images", &scenes(1, 6)), setting(&ranking(), "images", &scenes(1, 5)));
    }

    /// What is known of an image would be found anew if the text of a setting changed.
    #[test]
    fn the_text_of_a_setting_is_that_of_results_of_old() {
        let text = r#"{"format":"files","samples":[],"size":[8,4],"map":[[7,0]],"encoding":"index"}"#;
        assert_eq!(serde_json::to_string(&files(vec![], Some([8, 4]))).unwrap(), text);
    }

    #[test]
    fn an_item_is_the_content_that_is_read_and_not_its_name() {
        let samples =
            [sample("a", "x", None), sample("b", "x", None), sample("c", "y", None), sample("d", "x", Some("y"))];
        let found = items(&samples);
        assert_eq!(found["a"], found["b"]);
        let distinct: std::collections::BTreeSet<_> = found.values().collect();
        assert_eq!(distinct.len(), 3);
    }
}
