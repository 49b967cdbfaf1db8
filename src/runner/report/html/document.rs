//! The document around the page's body, with its style, script and content security policy.
//!
//! Knows no section. The only file that inserts unescaped text: the style, the script, the photographs (which are style
//! rules) and the JSON of the numbers. Everything else came through `maud`, which escapes it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::digest::Digest;
use crate::shown;

const STYLE: &str = concat!(
    include_str!("page.css"),
    include_str!("pictures.css"),
    include_str!("lightbox.css"),
    include_str!("gallery.css")
);
const SCRIPT: &str = concat!(
    include_str!("page.js"),
    include_str!("maps.js"),
    include_str!("live.js"),
    include_str!("charts.js"),
    include_str!("legend.js"),
    include_str!("lightbox.js"),
    include_str!("pictures.js"),
    include_str!("gallery.js"),
    include_str!("ranking.js")
);

/// What the page holds besides its elements.
pub(super) struct Data<'a> {
    /// The numbers, for other programs.
    pub(super) numbers: serde_json::Value,
    /// What the script knows of maps and galleries.
    pub(super) shown: serde_json::Value,
    /// Sheets of thumbnails: name, base64.
    pub(super) sheets: Vec<(String, &'a str)>,
}

impl Data<'_> {
    /// Of a page without maps.
    pub(super) fn of_numbers(numbers: serde_json::Value) -> Self {
        let state = serde_json::json!({ "going": false, "written": 0 });
        let shown = serde_json::json!({ "classes": [], "entropy": "", "galleries": [], "state": state });
        Data { numbers, shown, sheets: Vec::new() }
    }
}

/// The whole document. `photographs` are style rules. The policy's nonce is a digest of the page's content: text in the
/// page can't know it in advance.
pub(super) fn document(title: &str, mark: Option<Markup>, body: &Markup, photographs: &str, data: &Data) -> String {
    // Removes control characters, which pages can't show and terminals must not get.
    let body = shown::lines(&body.0);
    let nonce = Digest::of(body.as_bytes()).to_string();
    let policy = format!("default-src 'none'; img-src data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'");
    let page = html! {
        (DOCTYPE) "\n"
        html lang="en" {
            head {
                meta charset="utf-8"; "\n"
                @if let Some(mark) = mark { (mark) "\n" }
                meta http-equiv="Content-Security-Policy" content=(policy); "\n"
                meta name="viewport" content="width=device-width, initial-scale=1"; "\n"
                meta name="color-scheme" content="light dark"; "\n"
                title { (shown::lines(title)) } "\n"
                link rel="icon" href="data:,"; "\n"
                style nonce=(nonce) { "\n" (PreEscaped(STYLE)) (PreEscaped(photographs)) }
            }
            "\n"
            body {
                "\n"
                (PreEscaped(body))
                script type="application/json" id="data" { (PreEscaped(json(&data.numbers))) } "\n"
                script type="application/json" id="shown" { (PreEscaped(json(&data.shown))) } "\n"
                // Text that nothing parses until the script asks for it.
                @for (name, sheet) in &data.sheets { script type="text/plain" id=(name) { (PreEscaped(sheet)) } "\n" }
                script nonce=(nonce) { "\n" (PreEscaped(SCRIPT)) } "\n"
            }
        }
        "\n"
    };
    page.into_string()
}

/// JSON for a `script` element: nothing in it can close the element.
fn json(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_text_of_the_data_closes_its_element() {
        let block = super::json(&json!({ "name": "</script><!--" }));
        assert!(!block.contains('<'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&block).unwrap()["name"], "</script><!--");
    }

    #[test]
    fn control_characters_and_turns_of_direction_are_replaced_wherever_they_stand() {
        let body = html! { p title="\u{7}" { "a\u{1b}[31mb\u{202e}c\nd\te Straße" } };
        let data = Data::of_numbers(json!({}));
        let page = document("a\u{202e}b", None, &body, "", &data);
        assert!(page.contains("<p title=\"\u{fffd}\">a\u{fffd}[31mb\u{fffd}c\nd\te Straße</p>"), "{page}");
        assert!(page.contains("<title>a\u{fffd}b</title>"), "{page}");
    }
}
