//! A picture of figures over time, as SVG: panels below each other, one line each.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 130.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;

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
        let height = TOP + PANEL * self.panels.len() as f64 + 24.0;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"11\" fill=\"#444\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"16\" font-size=\"13\">{}</text>\n",
            self.title
        );
        let last = self.seconds.last().copied().unwrap_or(1.0).max(1e-9);
        let right = WIDTH - 16.0;
        for (at, (name, values)) in self.panels.iter().enumerate() {
            let (top, bottom) =
                (TOP + PANEL * at as f64 + 22.0, TOP + PANEL * (at + 1) as f64 - 6.0);
            let most = values.iter().copied().fold(0.0, f64::max).max(1e-9);
            let mut points = String::new();
            for (second, value) in self.seconds.iter().zip(values) {
                let x = LEFT + (right - LEFT) * second / last;
                let y = bottom - (bottom - top) * value / most;
                write!(points, "{x:.1},{y:.1} ").expect("a string");
            }
            write!(
                out,
                "<text x=\"{LEFT}\" y=\"{:.0}\">{name}</text>\n\
                 <path d=\"M{LEFT} {top:.0}V{bottom:.0}H{right}\" fill=\"none\" stroke=\"#bbb\"/>\n\
                 <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\n\
                 <text x=\"{:.0}\" y=\"{bottom:.0}\" text-anchor=\"end\">0</text>\n\
                 <polyline points=\"{points}\" fill=\"none\" stroke=\"#1f6feb\" stroke-width=\"1.5\"/>\n",
                top - 6.0,
                LEFT - 6.0,
                top + 8.0,
                most.round(),
                LEFT - 6.0,
            )
            .expect("a string");
        }
        let minutes = last / 60.0;
        write!(
            out,
            "<text x=\"{LEFT}\" y=\"{:.0}\">0</text><text x=\"{right}\" y=\"{:.0}\" \
             text-anchor=\"end\">{minutes:.1} min</text>\n</svg>\n",
            height - 10.0,
            height - 10.0,
        )
        .expect("a string");
        out
    }
}
