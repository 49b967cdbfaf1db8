//! A comparison as a table for a terminal, for Markdown and for LaTeX.
//!
//! Knows the table's format, not its content. If a terminal is too narrow, parameters are omitted, the last first, and the
//! table lists them; measures never are.

use super::images::Images;
use super::table::{self, Column};
use super::{Comparison, Row};
use crate::measures::plural;
use crate::results::evidence;
use crate::shown;

/// For a terminal of this many columns, or unlimited for a file. `classes` gives their order.
pub fn text(comparison: &Comparison, classes: &[String], room: Option<usize>) -> String {
    let mut columns = table::columns(comparison);
    let mut left_out = Vec::new();
    while room.is_some_and(|room| width(&columns) > room) {
        let Some(last) = columns.iter().rposition(|column| column.is_parameter) else { break };
        left_out.insert(0, columns.remove(last).name);
    }
    let mut text = format!("{}\n{}", table::title(comparison), lines(&columns));
    let classes = table::classes(comparison, classes);
    if !classes.is_empty() {
        text += &format!("\nIoU in %, by the rows above\n{}", lines(&classes));
    }
    for (at, row) in comparison.rows.iter().enumerate() {
        text +=
            &row.images.as_ref().map(|images| changed(at + 1, row, images, &comparison.against)).unwrap_or_default();
    }
    if !classes.is_empty() || comparison.rows.iter().any(|row| row.images.is_some()) {
        text += "\n";
    }
    let mut remarks = table::remarks(comparison);
    if !left_out.is_empty() {
        remarks.insert(0, format!("no room here for {}; --long shows all", left_out.join(", ")));
    }
    let same = comparison.same.len();
    if same > 0 && !comparison.all {
        let are = if same == 1 { "is" } else { "are" };
        remarks.push(format!("{} {are} the same in all rows (--all)", plural(same, "parameter")));
    }
    text + &remarks.into_iter().map(|remark| format!("  {remark}\n")).collect::<String>()
}

/// For a README.
pub fn markdown(comparison: &Comparison, classes: &[String]) -> String {
    let escaped = |cell: &str| {
        let special = |c: char| "\\`*_{}[]<>#|".contains(c);
        cell.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect::<String>()
    };
    let table = |columns: &[Column]| {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = columns.iter().map(|column| if column.is_number { "---:" } else { "---" }.to_owned());
        let head = line(columns.iter().map(|column| escaped(&column.name)).collect());
        let row = |at: usize| line(columns.iter().map(|column| escaped(&column.cells[at])).collect());
        head + &line(rule.collect()) + &(0..height(columns)).map(row).collect::<String>()
    };
    let mut text = format!("{}\n\n{}", escaped(&table::title(comparison)), table(&table::columns(comparison)));
    let classes = table::classes(comparison, classes);
    if !classes.is_empty() {
        text += &format!("\nIoU in %, by the rows above\n\n{}", table(&classes));
    }
    text + "\n"
        + &table::remarks(comparison).iter().map(|remark| format!("* {}\n", escaped(remark.trim()))).collect::<String>()
}

/// For a paper: a `tabular` without packages, with title and remarks as comments.
pub fn latex(comparison: &Comparison, classes: &[String]) -> String {
    let table = |columns: &[Column]| {
        let line = |cells: Vec<String>| format!("  {} \\\\\n", cells.join(" & "));
        let places: String = columns.iter().map(|column| if column.is_number { 'r' } else { 'l' }).collect();
        let head = line(columns.iter().map(|column| for_latex(&column.name)).collect());
        let row = |at: usize| line(columns.iter().map(|column| for_latex(&column.cells[at])).collect());
        let rows: String = (0..height(columns)).map(row).collect();
        format!("\\begin{{tabular}}{{{places}}}\n  \\hline\n{head}  \\hline\n{rows}  \\hline\n\\end{{tabular}}\n")
    };
    let mut text = format!("% {}\n{}", table::title(comparison), table(&table::columns(comparison)));
    let classes = table::classes(comparison, classes);
    if !classes.is_empty() {
        text += &format!("\n% IoU in %, by the rows above\n{}", table(&classes));
    }
    text + &table::remarks(comparison).iter().map(|remark| format!("% {remark}\n")).collect::<String>()
}

/// The cell in LaTeX.
fn for_latex(cell: &str) -> String {
    let mut text = String::new();
    for c in cell.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => text.extend(['\\', c]),
            '\\' => text += "\\textbackslash{}",
            '~' => text += "\\textasciitilde{}",
            '^' => text += "\\textasciicircum{}",
            '<' | '>' => text.extend(['$', c, '$']),
            '±' => text += "$\\pm$",
            '−' => text += "$-$",
            '–' => text += "--",
            'λ' => text += "$\\lambda$",
            c => text.push(c),
        }
    }
    // A minus sign, not a hyphen; a plus sign is fine in a formula.
    match text.strip_prefix('-').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        Some(rest) => format!("$-${rest}"),
        None => text,
    }
}

fn widths(columns: &[Column]) -> Vec<usize> {
    let widest =
        |column: &Column| column.cells.iter().chain([&column.name]).map(|cell| shown::width(cell)).max().unwrap_or(0);
    columns.iter().map(widest).collect()
}

/// The maximum width of a line.
fn width(columns: &[Column]) -> usize {
    widths(columns).iter().map(|width| width + 2).sum()
}

fn height(columns: &[Column]) -> usize {
    columns.first().map_or(0, |column| column.cells.len())
}

fn lines(columns: &[Column]) -> String {
    let widths = widths(columns);
    let line = |cell: &dyn Fn(&Column) -> String| {
        let mut line = String::new();
        for (column, width) in columns.iter().zip(&widths) {
            let cell = cell(column);
            line += "  ";
            line += &if column.is_number { shown::right(&cell, *width) } else { shown::left(&cell, *width) };
        }
        line.trim_end().to_owned() + "\n"
    };
    let rows = (0..height(columns)).map(|row| line(&|column| column.cells[row].clone()));
    line(&|column| column.name.clone()) + &rows.collect::<String>()
}

/// The maximum width of an image's name.
const NAME: usize = 60;

/// The images of a row with the largest gains and losses.
fn changed(number: usize, row: &Row, images: &Images, against: &str) -> String {
    let [weights, against] = [row.weights.as_str(), against].map(|name| shown::cut(name, NAME));
    let mut text = format!(
        "\nrow {number}, {weights} against {against}: of {}, {} gained and {} lost\n",
        plural(images.count, "image"),
        images.gained_count,
        images.lost_count
    );
    let shown = || images.gained.iter().chain(&images.lost);
    let first = shown().map(|image| shown::width(&shown::cut(&image.name, NAME))).chain([5]).max().unwrap_or(0);
    let [own, base] = [&weights, &against].map(|name| shown::width(name).max(5));
    text += &format!("  {:<first$}  {}  {}\n", "image", shown::right(&against, base), shown::right(&weights, own));
    for image in shown() {
        let [from, to] = [image.base, image.own].map(|iou| format!("{:.1}", 100.0 * iou));
        let difference = evidence::signed_apart(image.own - image.base);
        let name = shown::left(&image.name, first);
        text += &format!("  {name}  {from:>base$}  {to:>own$}  {difference:>6}\n");
    }
    text
}
