//! Maps as elements of the page, and their legends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::markup::{colour, swatch};
use crate::pipeline::Class;
use crate::results::map::{Map, Palette, class_palette, error_palette, viridis};

/// What a map shows, and in which colours.
pub(super) struct Scale {
    /// For the script.
    name: &'static str,
    palette: Palette,
}

impl Scale {
    /// A class at each pixel.
    pub(super) fn classes(classes: &[Class]) -> Scale {
        Scale { name: "classes", palette: class_palette(classes) }
    }

    /// An entropy at each pixel.
    pub(super) fn entropies() -> Scale {
        Scale { name: "entropy", palette: viridis() }
    }

    /// Whether a pixel is wrong, or differs.
    pub(super) fn errors() -> Scale {
        Scale { name: "errors", palette: error_palette() }
    }
}

/// An `img` element of a map in the colours of this scale.
pub(super) fn element(map: &Map, scale: &Scale, about: &str) -> Markup {
    let picture = base64(&map.png(&scale.palette));
    html! { img data-map=(scale.name) src={ "data:image/png;base64," (picture) } alt=(about); }
}

/// The legends, and the slider that fades the maps.
pub(super) fn key(classes: &[Class]) -> Markup {
    html! {
        (legend(classes))
        div.keys {
            (entropy_legend())
            p.legend { span.key.ignored { "ignored" } }
            p.legend.noprint.scripted hidden {
                label { "maps over the photograph " input type="range" class="opacity" min="0" max="100" value="100"; }
            }
            p.legend.noprint.scripted hidden { "a click or Enter enlarges a picture" }
        }
        "\n"
    }
}

/// The classes with their colours: the legend of all label maps. The script makes buttons of them, which hide a class.
fn legend(classes: &[Class]) -> Markup {
    html! {
        p.legend.classes-key {
            @for (at, class) in classes.iter().enumerate() {
                span data-class=(at) { (swatch(class.colour)) " " (class.name) } " "
            }
        }
    }
}

/// The fixed scale of entropies: 0 to the entropy of equally likely classes.
fn entropy_legend() -> Markup {
    html! {
        p.legend {
            "entropy 0 "
            svg.scale viewBox="0 0 256 1" preserveAspectRatio="none" {
                // Separate steps instead of a gradient: the legend occurs several times, and each gradient would need a
                // unique name.
                @for (at, piece) in viridis().iter().enumerate().step_by(8) {
                    rect x=(at) width="9" height="1" fill=(colour(*piece)) {}
                }
            }
            " 1 (all classes equally likely)"
        }
    }
}

/// As in RFC 4648, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_about_a_picture_is_text() {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 1, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[3]).unwrap();
        let html = element(&Map::decode(&file).unwrap(), &Scale::entropies(), "a \"b\"").into_string();
        assert!(
            html.starts_with("<img data-map=\"entropy\" src=\"data:image/png;base64,iVBOR")
                && html.ends_with("alt=\"a &quot;b&quot;\">")
        );
    }
}
