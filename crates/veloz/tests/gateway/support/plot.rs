//! A picture of figures over time, as SVG: panels below each other, one line each.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const PANEL: f64 = 120.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = WIDTH - 20.0;
const TOP: f64 = 34.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#1a7f37", "#bc4c00", "#8250df"];

/// Panels over the same seconds.
pub(crate) struct Plot {
    title: String,
    seconds: Vec<f64>,
    panels: Vec<(&'static str, Vec<f64>)>,
}

impl Plot {
    pub(crate) fn new(title: String, seconds: Vec<f64>) -> Plot {
        Plot { title, seconds, panels: Vec::new() }
    }

    pub(crate) fn panel(&mut self, name: &'static str, values: Vec<f64>) {
        assert_eq!(values.len(), self.seconds.len(), "{name}");
        self.panels.push((name, values));
    }

    pub(crate) fn svg(&self) -> String {
        let bottom = TOP + PANEL * self.panels.len() as f64;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" \
             font-family=\"sans-serif\" font-size=\"11\" fill=\"#57606a\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\" fill=\"#1f2328\">{}</text>\n",
            bottom + 30.0,
            self.title
        );
        let last = self.seconds.last().copied().unwrap_or(1.0).max(1e-9);
        let (unit, length) = if last < 120.0 { (1.0, " s") } else { (60.0, " min") };
        let x = |second: f64| LEFT + (RIGHT - LEFT) * second / last;
        let step = round_up(last / unit / 6.0);
        let ticks = (0_u32..).map(|n| f64::from(n) * step).take_while(|at| at * unit <= last);
        let ticks: Vec<f64> = ticks.collect();
        for (at, (name, values)) in self.panels.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let floor = TOP + PANEL * (at + 1) as f64;
            for tick in &ticks {
                line(&mut out, (x(tick * unit), floor), (0.0, 28.0 - PANEL));
            }
            panel(&mut out, floor, values, |n| x(self.seconds[n]), (name, colour));
        }
        for tick in ticks {
            text(&mut out, (x(tick * unit), bottom + 18.0), "middle", &format!("{tick}{length}"));
        }
        out.push_str("</svg>\n");
        out
    }
}

/// One line of values above `floor`, with its scale from 0 and its name.
fn panel(
    out: &mut String,
    floor: f64,
    values: &[f64],
    x: impl Fn(usize) -> f64,
    (name, colour): (&str, &str),
) {
    let most = values.iter().copied().fold(0.0, f64::max).max(1e-9);
    let (height, scale) = (PANEL - 28.0, 2.0 * round_up(most * 1.02 / 2.0));
    for part in [0.0, 0.5, 1.0] {
        let y = floor - height * part;
        line(out, (LEFT, y), (RIGHT - LEFT, 0.0));
        text(out, (LEFT - 8.0, y + 4.0), "end", &number(scale * part));
    }
    let (least, middle) = (values.iter().copied().fold(most, f64::min), median(values));
    let (middle, least, most) = (number(middle), number(least), number(most));
    let named = format!("{name}: median {middle}, from {least} to {most}");
    text(out, (LEFT, floor - height - 7.0), "start", &named);
    let mut points = String::new();
    for (n, value) in values.iter().enumerate() {
        write!(points, "{:.1},{:.1} ", x(n), floor - height * value / scale).expect("a string");
    }
    writeln!(
        out,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" \
         stroke-linejoin=\"round\"/>"
    )
    .expect("a string");
}

fn line(out: &mut String, (x, y): (f64, f64), (dx, dy): (f64, f64)) {
    writeln!(out, "<path d=\"M{x:.1} {y:.1}l{dx:.1} {dy:.1}\" stroke=\"#d8dee4\"/>")
        .expect("a string");
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
        .expect("a string");
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The next number that reads well: 1, 2, 2.5 or 5, with zeros.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

/// As people write it: `12,566`; with a decimal below 10 only.
pub(crate) fn number(value: f64) -> String {
    if value < 10.0 && value.fract() > 0.05 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
