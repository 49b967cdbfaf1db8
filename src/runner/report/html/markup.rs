//! Elements shared by sections: numbers, swatches, tabs, tables.
//!
//! Knows no section. Elements are written with `maud`, which escapes inserted text, in attributes too, unless it is
//! [`Markup`] already; so `<script>` in a file's name is shown and not run. There are no `style` attributes and no event
//! handlers: the page's policy forbids both.

use maud::{Markup, html};

use crate::results::evidence::signed_points;

/// A section with its heading.
pub(super) fn section(id: &str, heading: &str, body: &Markup) -> Markup {
    html! { section id=(id) { h2 { (heading) } "\n" (body) } "\n" }
}

/// A share of 1 in %, with one decimal; a dash if undefined.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.1}", 100.0 * share))
}

/// A difference with its sign, a true minus: `+1.9`, `−2.4`; no sign for zero itself.
pub(super) fn signed(points: f64) -> String {
    signed_points(points).replace('-', "−")
}

/// `rgb(1,2,3)`.
pub(super) fn colour([red, green, blue]: [u8; 3]) -> String {
    format!("rgb({red},{green},{blue})")
}

/// `0a0b0c`.
pub(super) fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("{red:02x}{green:02x}{blue:02x}")
}

/// How many colours charts, bars and names of networks have (`page.css`); after them they repeat.
pub(super) const TONES: usize = 12;

/// A part of a section.
pub(super) struct Part {
    /// Unique in the page.
    pub(super) id: String,
    /// Its heading.
    pub(super) name: String,
    /// More about it.
    pub(super) about: String,
    /// Its content.
    pub(super) body: Markup,
}

/// The parts of a section one below the other. The reader can fold them if there are several: then only the first is open.
pub(super) fn parts(parts: &[Part]) -> Markup {
    html! {
        @for (at, Part { id, name, about, body }) in parts.iter().enumerate() {
            @if parts.len() > 1 {
                details.part id=(id) open[at == 0] {
                    summary { h3 { (name) } " " small { (about) } } "\n"
                    (body)
                }
            } @else {
                h3 id=(id) { (name) " " small { (about) } } "\n"
                (body)
            }
            "\n"
        }
    }
}

/// Text in which backticks enclose code. A backtick without a partner is text.
pub(super) fn with_code(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (at, part) in parts.iter().enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A small square of a class's colour.
pub(super) fn swatch(of: [u8; 3]) -> Markup {
    html! { svg.swatch viewBox="0 0 1 1" { rect width="1" height="1" fill=(colour(of)) {} } }
}

/// Several panels of which one is visible, at first the one with this index, without a script. `id` is unique in the page.
pub(super) fn tabs(id: &str, panels: &[(String, Markup)], first: usize) -> Markup {
    if let [(_, body)] = panels {
        return body.clone();
    }
    html! {
        div.tabs {
            @for (at, (name, _)) in panels.iter().enumerate() {
                input type="radio" name=(id) id={ (id) "-" (at) } checked[at == first];
                label for={ (id) "-" (at) } { (name) }
            }
            @for (name, body) in panels {
                // On paper all panels are printed, each with its name.
                div.panel { p.printed { (name) } (body) }
            }
        }
    }
}

/// A table. The first column is left-aligned, numbers are right-aligned.
pub(super) fn table(heads: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { @for head in heads { th { (head) } } } }
                tbody {
                    @for row in rows {
                        tr { @for cell in row { td { (cell) } } } "\n"
                    }
                }
            }
        }
        "\n"
    }
}

#[cfg(test)]
mod tests {
    use maud::Render as _;

    use super::*;

    #[test]
    fn a_difference_has_a_sign_if_it_is_one() {
        assert_eq!([1.94, -2.36, 0.04, -0.04, 0.0].map(signed), ["+1.9", "−2.4", "+0.0", "−0.0", "0.0"]);
    }

    #[test]
    fn what_stands_between_backticks_is_code_and_a_lone_one_is_text() {
        assert_eq!(with_code("`run a<b` runs it").0, "<code>run a&lt;b</code> runs it");
        assert_eq!(with_code("set `a` to `b`.").0, "set <code>a</code> to <code>b</code>.");
        assert_eq!(with_code("a ` b").0, "a ` b");
    }

    #[test]
    fn of_several_parts_only_the_first_is_open_and_one_alone_is_not_folded() {
        let of = |count: usize| {
            let part = |at: usize| Part {
                id: format!("p-{at}"),
                name: "a".to_owned(),
                about: String::new(),
                body: html! { p {} },
            };
            parts(&(0..count).map(part).collect::<Vec<_>>()).into_string()
        };
        assert_eq!(of(1).matches("<details").count(), 0);
        assert_eq!((of(2).matches("<details").count(), of(2).matches(" open").count()), (2, 1));
        assert!(of(9).contains("id=\"p-0\" open") && of(9).matches(" open").count() == 1);
    }

    #[test]
    fn a_single_panel_needs_no_tabs() {
        assert_eq!(tabs("t", &[("a".into(), html! { p {} })], 0).0, "<p></p>");
        let two = tabs("t", &[("a".into(), "1".render()), ("b".into(), "2".render())], 1).into_string();
        assert_eq!(two.matches("class=\"panel\"").count(), 2);
        assert!(two.contains("id=\"t-1\" checked") && !two.contains("id=\"t-0\" checked"));
    }

    #[test]
    fn heads_and_cells_are_text_unless_they_are_markup() {
        let shown = table(&["<th>"], &[vec!["<td>".render(), html! { b { "\"" } }]]).into_string();
        assert!(shown.contains("<th>&lt;th&gt;</th>"), "{shown}");
        assert!(shown.contains("<td>&lt;td&gt;</td><td><b>&quot;</b></td>"), "{shown}");
    }
}
