//! Line charts as SVG without a script: losses, mIoU, sorted scores.
//!
//! Knows numbers and names, no stage. A curve of 120,000 points is reduced to at most [`POINTS`], each the minimum or
//! maximum of its bin: a spike never vanishes, and nothing is smoothed.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::markup::TONES;

/// The maximum number of points of a curve.
pub(super) const POINTS: usize = 600;

/// The width of a chart among others.
const WIDTH: f64 = 340.0;
/// The width of a chart in its own row. Not more: on a phone its text must remain readable.
const WIDE: f64 = 620.0;
const HEIGHT: f64 = 170.0;
/// Space for the axis labels, in the same units.
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 18.0;
/// Above the lines, for the labels of marks.
const TOP: f64 = 16.0;
const RIGHT: f64 = 10.0;
/// About the width of a mark's label.
const LABEL: f64 = 50.0;

/// One curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    /// The name in the legend.
    pub(super) name: String,
    /// x ascending; non-finite values are left out.
    pub(super) points: Vec<(f64, f64)>,
    /// Dots: the points themselves, or the values behind the means.
    pub(super) dots: Vec<(f64, f64)>,
    /// A point with a ring.
    pub(super) marked: Option<(f64, f64)>,
    /// Lines of one group, as the seeds of one setting, have one colour and one entry in the legend: its number and name. None
    /// for a line by itself.
    pub(super) group: Option<(usize, String)>,
}

/// The range of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    /// Where it begins.
    pub(super) from: f64,
    /// Where it ends.
    pub(super) to: f64,
    /// Whether the scale is logarithmic.
    pub(super) logarithmic: bool,
}

impl Range {
    /// The range of all these values. `None` if there are none.
    pub(super) fn over(values: impl Iterator<Item = f64>) -> Option<Range> {
        let finite = values.filter(|value| value.is_finite());
        let (from, to) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        (from <= to).then_some(Range {
            from,
            to: if from == to { from + from.abs().max(1e-9) } else { to },
            logarithmic: false,
        })
    }

    /// The same with a margin at both ends, so that no dot is on an axis.
    pub(super) fn wider(self) -> Range {
        let room = 0.04 * (self.to - self.from);
        Range { from: self.from - room, to: self.to + room, ..self }
    }

    /// For a loss: from 0, or logarithmic if it falls so far that its end would be on the axis.
    pub(super) fn of_losses(values: impl Iterator<Item = f64> + Clone) -> Option<Range> {
        const FAR: f64 = 30.0;
        let all = Range::over(values.clone())?;
        let positive = Range::over(values.filter(|value| *value > 0.0));
        match positive {
            Some(positive) if all.from >= 0.0 && positive.to > FAR * positive.from => {
                let from = positive.from.max(positive.to / 1e4);
                Some(Range { from, to: positive.to, logarithmic: true })
            }
            _ => Some(Range { from: all.from.min(0.0), ..all }),
        }
    }

    /// Maps the beginning to 0, the end to 1.
    fn place(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }

    /// Round tick values, at most about five.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let (low, high) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
            let powers = (low..=high).map(|power| 10f64.powi(power));
            return powers.filter(|value| (self.from..=self.to).contains(value)).collect();
        }
        let rough = (self.to - self.from) / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.from / step).ceil() as i64;
        (first..).map(|i| i as f64 * step).take_while(|value| *value <= self.to + step * 1e-9).take(12).collect()
    }
}

/// Reduces points for drawing: the minimum and the maximum of each bin, in order.
pub(super) fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(_, y)| y.is_finite()).collect();
    if points.len() <= POINTS {
        return points;
    }
    let bins = POINTS / 2;
    let mut out = Vec::with_capacity(POINTS);
    for bin in 0..bins {
        let part = &points[bin * points.len() / bins..(bin + 1) * points.len() / bins];
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        if let (Some(low), Some(high)) = (part.iter().min_by(by_value), part.iter().max_by(by_value)) {
            let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            out.push(*first);
            if second != first {
                out.push(*second);
            }
        }
    }
    out
}

/// A number at an axis.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v >= 10_000.0 => format!("{}k", trimmed(&format!("{:.1}", value / 1000.0))),
        v if v < 0.001 => {
            let text = format!("{value:.2e}");
            let (digits, power) = text.split_once('e').expect("that is how it is written");
            format!("{}e{power}", trimmed(digits))
        }
        _ => trimmed(&format!("{value:.4}")).replace('-', "−"),
    }
}

/// Without trailing zeros.
fn trimmed(decimal: &str) -> &str {
    decimal.trim_end_matches('0').trim_end_matches('.')
}

/// Draws lines over one pair of axes, in a chart among others. `marks` are vertical lines with a label.
pub(super) fn draw(title: &str, lines: &[Line], x: Range, y: Range, marks: &[(f64, &str)]) -> Markup {
    figure(&Axes { width: WIDTH, x, y }, title, lines, marks)
}

/// The same, in its own row.
pub(super) fn draw_wide(title: &str, lines: &[Line], x: Range, y: Range, marks: &[(f64, &str)]) -> Markup {
    html! { div.wide { div.row { (figure(&Axes { width: WIDE, x, y }, title, lines, marks)) } } "\n" }
}

/// The drawing's attributes give the script what it needs to show the values at the pointer: ranges and frame.
fn figure(axes: &Axes, title: &str, lines: &[Line], marks: &[(f64, &str)]) -> Markup {
    let ends = |range: Range| format!("{} {} {}", range.from, range.to, u8::from(range.logarithmic));
    let frame = format!("{LEFT} {} {} {TOP}", axes.right(), HEIGHT - BOTTOM);
    let are_named = lines.len() > 1 || lines.iter().any(|line| line.name != title);
    html! {
        figure {
            svg.chart viewBox={ "0 0 " (axes.width) " " (HEIGHT) } role="img" aria-label=(title)
                data-x=(ends(axes.x)) data-y=(ends(axes.y)) data-frame=(frame)
            {
                (axes.ticks())
                @if axes.y.logarithmic { (axes.log_scale()) }
                @for (at, word) in marks { (axes.mark(*at, word)) }
                @for (at, line) in lines.iter().enumerate() { (axes.line(line, line.entry(at).0 % TONES)) }
            }
            figcaption {
                (title)
                @if are_named {
                    @for (tone, name) in legend(lines) { " " span class={ "key n" (tone % TONES) } { (name) } }
                }
            }
        }
        "\n"
    }
}

/// The entries of the legend: colour, name.
fn legend(lines: &[Line]) -> Vec<(usize, &str)> {
    let mut entries: Vec<(usize, &str)> = lines.iter().enumerate().map(|(at, line)| line.entry(at)).collect();
    entries.dedup();
    entries
}

impl Line {
    /// Its colour and its name in the legend, if it is the line with this index.
    fn entry(&self, at: usize) -> (usize, &str) {
        self.group.as_ref().map_or((at, &self.name), |(tone, name)| (*tone, name))
    }
}

/// Maps values to positions in a drawing of this width.
struct Axes {
    width: f64,
    x: Range,
    y: Range,
}

impl Axes {
    fn right(&self) -> f64 {
        self.width - RIGHT
    }

    fn across(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (self.right() - LEFT)
    }

    fn up(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - BOTTOM - TOP)
    }

    /// The axis labels and the grid.
    fn ticks(&self) -> Markup {
        html! {
            @for tick in self.y.ticks() {
                @let at = self.up(tick);
                path.grid d=(format_args!("M{LEFT} {at:.1}H{:.1}", self.right())) {}
                text.end x=(format_args!("{:.1}", LEFT - 4.0)) y=(format_args!("{:.1}", at + 3.5)) { (short(tick)) }
            }
            @for tick in self.x.ticks() {
                @let (at, below) = (self.across(tick), HEIGHT - 4.0);
                text.mid x=(format_args!("{at:.1}")) y=(format_args!("{below:.1}")) { (short(tick)) }
            }
        }
    }

    /// Written along a logarithmic axis.
    fn log_scale(&self) -> Markup {
        let (x, y) = (8.0, (HEIGHT - BOTTOM + TOP) / 2.0);
        html! { text.mid x=(x) y=(y) transform={ "rotate(-90 " (x) " " (y) ")" } { "log scale" } }
    }

    /// A vertical line with a label above it, where no curve is.
    fn mark(&self, at: f64, word: &str) -> Markup {
        let at = self.across(at);
        // Near an end of the axis the label would leave the drawing.
        let room = (at - LEFT).min(self.right() - at);
        let anchor = if room > LABEL / 2.0 {
            "mid"
        } else if at < self.width / 2.0 {
            "start"
        } else {
            "end"
        };
        html! {
            path.mark d=(format_args!("M{at:.1} {TOP}V{:.1}", HEIGHT - BOTTOM)) {}
            text class=(anchor) x=(format_args!("{at:.1}")) y=(format_args!("{:.1}", TOP - 4.0)) { (word) }
        }
    }

    /// A curve with its dots, in the colour with this number.
    fn line(&self, line: &Line, colour: usize) -> Markup {
        let mut path = String::new();
        for (at, (x, y)) in thinned(&line.points).into_iter().enumerate() {
            let _ = write!(path, "{}{:.2} {:.2}", if at == 0 { 'M' } else { 'L' }, self.across(x), self.up(y));
        }
        let marked = line.marked.iter().map(|point| ("ring", 5.0, point));
        let dots = line.dots.iter().filter(|(_, y)| y.is_finite()).map(|point| ("dot", 2.5, point));
        html! {
            @if !path.is_empty() { path class={ "line s" (colour) } data-name=(line.name) d=(path) {} }
            @for (what, radius, (x, y)) in dots.chain(marked) {
                circle class={ (what) " n" (colour) } cx=(format_args!("{:.1}", self.across(*x)))
                    cy=(format_args!("{:.1}", self.up(*y))) r=(radius) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    proptest! {
        #[test]
        fn thinning_keeps_the_least_and_the_greatest_and_draws_few(values: Vec<i16>, times in 1usize..20) {
            let points: Vec<(f64, f64)> =
                values.iter().cycle().take(values.len() * times * 10).enumerate().map(|(x, y)| (x as f64, f64::from(*y))).collect();
            let thin = thinned(&points);
            prop_assert!(thin.len() <= POINTS);
            prop_assert!(thin.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order");
            let ends = |points: &[(f64, f64)]| Range::over(points.iter().map(|(_, y)| *y));
            prop_assert!(ends(&thin) == ends(&points));
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        let range = |from, to, logarithmic| Range { from, to, logarithmic };
        assert_eq!(range(0.0, 300.0, false).ticks(), [0.0, 100.0, 200.0, 300.0]);
        assert_eq!(range(0.2, 8.0, true).ticks(), [1.0]);
        assert_eq!(range(0.03, 8.0, true).ticks(), [0.1, 1.0]);
        let numbers = [0.0, -0.25, 120_000.0, 12_500.0, 0.00001, 0.00015];
        assert_eq!(numbers.map(short), ["0", "−0.25", "120k", "12.5k", "1e-5", "1.5e-4"]);
    }

    #[test]
    fn a_loss_that_falls_far_is_drawn_over_powers_and_one_that_does_not_from_zero() {
        let far = Range::of_losses([8.0, 0.1].into_iter()).unwrap();
        assert!(far.logarithmic);
        let near = Range::of_losses([0.7, 0.3].into_iter()).unwrap();
        assert_eq!((near.from, near.to, near.logarithmic), (0.0, 0.7, false));
        assert_eq!(Range::of_losses([f64::NAN].into_iter()), None);
    }

    #[test]
    fn seeds_of_a_setting_have_one_colour_and_one_entry_and_a_logarithmic_axis_says_so() {
        let line = |name: &str, group: usize| Line {
            name: name.to_owned(),
            points: vec![(0.0, 1.0), (1.0, 0.5)],
            group: Some((group, format!("setting {group}"))),
            ..Line::default()
        };
        let lines = [line("a", 0), line("b", 0), line("c", 1)];
        assert_eq!(legend(&lines), [(0, "setting 0"), (1, "setting 1")]);
        let y = Range { from: 0.1, to: 10.0, logarithmic: true };
        let x = Range { from: 0.0, to: 1.0, logarithmic: false };
        let svg = draw("losses", &lines, x, y, &[]).into_string();
        assert_eq!((svg.matches("line s0").count(), svg.matches("line s1").count()), (2, 1));
        assert!(svg.contains("log scale") && !draw("losses", &lines, x, x, &[]).into_string().contains("log scale"));
    }

    #[test]
    fn the_label_of_a_mark_stands_above_the_curves_and_within_the_drawing() {
        let x = Range { from: 0.0, to: 1.0, logarithmic: false };
        let line = Line { name: "seg".into(), points: vec![(0.0, 0.0), (1.0, 1.0)], ..Line::default() };
        let svg = draw("losses", &[line], x, x, &[(0.0, "first"), (0.5, "middle"), (1.0, "last")]).into_string();
        for (anchor, word) in [("start", "first"), ("mid", "middle"), ("end", "last")] {
            let (before, _) = svg.split_once(&format!(">{word}</text>")).unwrap();
            let label = before.rsplit_once("<text ").unwrap().1;
            assert!(label.contains(&format!("class=\"{anchor}\"")) && label.contains("y=\"12.0\""), "{label}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_left_out() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 2.0)];
        let line = Line { name: "seg".into(), points: points.clone(), dots: points, ..Line::default() };
        let x = Range { from: 0.0, to: 2.0, logarithmic: false };
        let svg = draw("a < b", &[line], x, x, &[]).into_string();
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN"));
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
