//! Text and numbers as HTML that can't be anything but text and numbers.
//!
//! Knows no section. Everything that a person named (a stage, an image, a class) goes through [`text`], in text and in
//! attributes alike, so that `<script>` in a file's name is shown and not run. There are no `style` attributes and no event
//! handlers: the page's policy forbids both.

use std::fmt::Write as _;

use crate::shown::{STAND_IN, is_harmful};

/// Escaped, for text and for quoted attributes.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What a terminal would obey and a page can't show.
            c if is_harmful(c) && c != '\n' && c != '\t' => out.push(STAND_IN),
            c => out.push(c),
        }
    }
    out
}

/// JSON for a `script` element: nothing in it can close the element.
pub(super) fn json(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A section with its heading; `body` is HTML.
pub(super) fn section(id: &str, heading: &str, body: &str) -> String {
    format!("<section id=\"{id}\"><h2>{}</h2>\n{body}</section>\n", text(heading))
}

/// A share of 1 in %, with one place; a dash where it is undefined.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.1}", 100.0 * share))
}

/// A difference with its sign, which is no hyphen: `+1.9`, `−2.4`; nothing has none.
pub(super) fn signed(points: f64) -> String {
    let text = format!("{points:+.1}");
    if text.contains(|c| ('1'..='9').contains(&c)) { text.replace('-', "−") } else { "0.0".to_owned() }
}

/// `rgb(1,2,3)`.
pub(super) fn colour([red, green, blue]: [u8; 3]) -> String {
    format!("rgb({red},{green},{blue})")
}

/// A small square of a class's colour.
pub(super) fn swatch(of: [u8; 3]) -> String {
    format!("<svg class=\"swatch\" viewBox=\"0 0 1 1\"><rect width=\"1\" height=\"1\" fill=\"{}\"/></svg>", colour(of))
}

/// Several panels of which one is seen, at `first` that with this place, without a script. `id` is unique in the page; names are
/// text, bodies HTML.
pub(super) fn tabs(id: &str, panels: &[(String, String)], first: usize) -> String {
    if let [(_, body)] = panels {
        return body.clone();
    }
    let mut out = String::from("<div class=\"tabs\">");
    for (i, (name, _)) in panels.iter().enumerate() {
        let checked = if i == first { " checked" } else { "" };
        let _ = write!(
            out,
            "<input type=\"radio\" name=\"{id}\" id=\"{id}-{i}\"{checked}><label for=\"{id}-{i}\">{}</label>",
            text(name)
        );
    }
    for (name, body) in panels {
        // On paper there is nothing to choose: all panels are there, each with its name.
        let _ = write!(out, "<div class=\"panel\"><p class=\"printed\">{}</p>{body}</div>", text(name));
    }
    out + "</div>\n"
}

/// A table; heads are text, cells HTML. The first column is left-aligned, numbers are not.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::from("<div class=\"wide\"><table><thead><tr>");
    for head in heads {
        let _ = write!(out, "<th>{}</th>", text(head));
    }
    out += "</tr></thead><tbody>\n";
    for row in rows {
        out += "<tr>";
        for cell in row {
            let _ = write!(out, "<td>{cell}</td>");
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_be_anything_but_text() {
        let name = "<script>alert('x')</script> \" onload=\"x & \u{7} Straße";
        let shown = text(name);
        assert!(!shown.contains(['<', '>', '"', '\'', '\u{7}']), "{shown}");
        assert!(shown.ends_with("&amp; \u{fffd} Straße"));
        let block = json(&serde_json::json!({ name: "</script><!--" }));
        assert!(!block.contains('<'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&block).unwrap()[name], "</script><!--");
    }

    #[test]
    fn a_difference_has_a_sign_if_it_is_one() {
        assert_eq!([1.94, -2.36, 0.04, -0.04, 0.0].map(signed), ["+1.9", "−2.4", "0.0", "0.0", "0.0"]);
    }

    #[test]
    fn a_single_panel_needs_no_tabs() {
        assert_eq!(tabs("t", &[("a".into(), "<p>".into())], 0), "<p>");
        let two = tabs("t", &[("a".into(), "1".into()), ("b".into(), "2".into())], 1);
        assert_eq!(two.matches("class=\"panel\"").count(), 2);
        assert!(two.contains("id=\"t-1\" checked") && !two.contains("id=\"t-0\" checked"));
    }
}
