//! The photographs of the page: each is included once, however many sections show it.
//!
//! Knows contents, no names. A photograph is a style rule, and every cell that shows it or overlays a map on it has the
//! rule's class: that needs no script, and a map can't be misaligned. Equal files are one photograph whichever stage wrote
//! them, as a class is named after the content's digest.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use maud::{Markup, Render, html};

use super::picture::base64;
use super::workspace::Workspace;
use crate::digest::FileDigest;

/// The photographs in use.
#[derive(Default)]
pub(super) struct Photographs(BTreeMap<FileDigest, Photograph>);

struct Photograph {
    file: Vec<u8>,
    /// Width and height in pixels.
    size: [u32; 2],
}

impl Photographs {
    /// Adds a photograph to the page and returns the class of its cells. None if it is missing or not an image.
    pub(super) fn class(&mut self, workspace: &Workspace, file: FileDigest) -> Option<String> {
        if let Entry::Vacant(place) = self.0.entry(file) {
            let content = workspace.object(file)?;
            // A height of 0 is defined by a later marker, which cameras don't write.
            let size = intrada_picture::size_of(&content).filter(|size| size.iter().all(|side| *side > 0))?;
            place.insert(Photograph { file: content, size });
        }
        Some(class(file))
    }

    /// The style rules that contain the photographs.
    pub(super) fn style(&self) -> String {
        let mut out = String::new();
        for (digest, Photograph { file, size: [width, height] }) in &self.0 {
            let (class, data) = (class(*digest), base64(file));
            let _ = writeln!(
                out,
                ".{class}{{aspect-ratio:{width}/{height};background-image:url(data:image/jpeg;base64,{data})}}"
            );
        }
        out
    }
}

/// Sixteen hexadecimal digits of the digest: unique within a page.
fn class(file: FileDigest) -> String {
    format!("p{:.16}", file.0.to_string())
}

/// A cell: a map over its photograph, or the photograph alone. `class` is its photograph's, if it has one; `map` is an
/// `img` element; `about` describes the picture; `below` is shown below it, and alone if there is no picture.
pub(super) fn cell(class: Option<&str>, map: Option<Markup>, about: &str, below: impl Render) -> Markup {
    let label = map.is_none().then_some(about);
    html! {
        @if class.is_some() || map.is_some() {
            div class={ "over " (class.unwrap_or_default()) } title=(about) role=[label.map(|_| "img")] aria-label=[label] {
                @if let Some(map) = map { (map) }
            }
        }
        small { (below) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The header of a JPEG of this size, the only part that is read here; `tail` makes it a different file.
    pub(in super::super) fn jpeg(width: u8, height: u8, tail: &str) -> Vec<u8> {
        let mut file =
            vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc0, 0, 11, 8, 0, height, 0, width, 1, 1, 0x11, 0];
        file.extend(tail.as_bytes());
        file
    }

    #[test]
    fn a_photograph_alone_and_a_map_over_it_carry_the_same_class() {
        let alone = cell(Some("p1"), None, "a \"b\"", "").into_string();
        assert!(alone.starts_with("<div class=\"over p1\" title=\"a &quot;b&quot;\" role=\"img\""), "{alone}");
        let over = cell(Some("p1"), Some(html! { img; }), "", "<x>").into_string();
        assert!(over.contains("<img></div><small>&lt;x&gt;</small>"), "{over}");
    }
}
