//! The picture of a replay, as SVG: the equity with its fall from the last peak shaded, and below it the
//! prices with the own fills.
//!
//! Contract: the same replay gives the same bytes. Here, and only here, amounts become floats: a picture
//! has some hundred pixels, and no figure is read back from it.

use std::fmt::Display;
use std::ops::Range;

use jiff::Timestamp;
use plotters::coord::Shift;
use plotters::prelude::*;
use veloz_core::limits::REPLAY_SHOWN_SYMBOLS;
use veloz_core::types::{Asset, Money, Price, Side, Symbol, TsNs};

use super::curve::{Bucket, Curve};
use super::report::Report;
use super::tally::{Marks, Tally};

const WIDTH: u32 = 1_200;
const HEAD: u32 = 64;
const EQUITY: u32 = 320;
const PRICE: u32 = 300;
const FONT: &str = "sans-serif";

const INK: RGBColor = RGBColor(36, 41, 47);
const FAINT: RGBColor = RGBColor(101, 109, 118);
const GRID: RGBColor = RGBColor(234, 238, 242);
const LINE: RGBColor = RGBColor(31, 111, 235);
const PRICES: RGBColor = RGBColor(140, 149, 159);
const FALL: RGBColor = RGBColor(209, 36, 47);
const BOUGHT: RGBColor = RGBColor(26, 127, 55);
const SOLD: RGBColor = RGBColor(188, 76, 0);

/// What a replay's picture is made of.
#[derive(Debug, Clone)]
pub struct Picture {
    title: String,
    subtitle: String,
    quote: Asset,
    span: (TsNs, TsNs),
    equity: Curve,
    /// What the account held at the start.
    held: Curve,
    prices: Vec<(Symbol, Curve, Marks)>,
    left_out: usize,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// What drawing into a text can fail with.
type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Picture {
    /// The picture of what was told, and the figures in its head.
    pub(super) fn of(tally: Tally, report: &Report) -> Picture {
        let equity = &report.equity;
        let fills: u64 = report.pairs.iter().map(|pair| pair.fills).sum();
        let incomplete = if report.complete { "" } else { "INCOMPLETE · " };
        let subtitle = format!(
            "{incomplete}{} to {} UTC · equity {} to {} {} · PnL {} · max drawdown {} · {fills} fills",
            clock(report.first_ts_ns, "%Y-%m-%d %H:%M:%S"),
            clock(report.last_ts_ns, "%Y-%m-%d %H:%M:%S"),
            cents(equity.start),
            cents(equity.end),
            equity.quote,
            cents(equity.pnl),
            cents(equity.drawdown.amount),
        );
        let (mut traded, quiet): (Vec<_>, Vec<_>) = tally
            .pairs
            .into_iter()
            .filter(|pair| !pair.prices.buckets().is_empty())
            .partition(|pair| pair.makers + pair.takers > 0);
        traded.extend(quiet);
        let left_out = traded.len().saturating_sub(REPLAY_SHOWN_SYMBOLS);
        traded.truncate(REPLAY_SHOWN_SYMBOLS);
        Picture {
            title: format!("Replay of {}", report.capture),
            subtitle,
            quote: equity.quote,
            span: (report.first_ts_ns, report.last_ts_ns),
            equity: tally.equity,
            held: tally.held,
            prices: traded.into_iter().map(|pair| (pair.symbol, pair.prices, pair.marks)).collect(),
            left_out,
        }
    }

    /// Draws it.
    ///
    /// # Errors
    /// When there is a figure that cannot be drawn.
    pub fn svg(&self) -> Result<String, Failed> {
        let panels = u32::try_from(self.prices.len())?;
        let height = HEAD + EQUITY + PRICE * panels;
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
            root.fill(&WHITE)?;
            let (head, rest) = root.split_vertically(HEAD);
            label(&head, &self.title, (24, 16), (20, &INK))?;
            label(&head, &self.subtitle, (24, 44), (14, &FAINT))?;
            let (top, mut rest) = rest.split_vertically(EQUITY);
            self.draw_equity(&top)?;
            for (symbol, prices, marks) in &self.prices {
                let (panel, below) = rest.split_vertically(PRICE);
                self.draw_prices(&panel, *symbol, prices, marks)?;
                rest = below;
            }
            root.present()?;
        }
        Ok(svg)
    }

    fn draw_equity(&self, area: &Area<'_>) -> Result<(), Failed> {
        let money = |raw| float(Money::from_raw(raw));
        let (held, points) = (points(&self.held, money), points(&self.equity, money));
        let all: Vec<_> = held.iter().chain(&points).copied().collect();
        let mut chart = axes(area, self.span, range(&all))?;
        let mut peak = f64::NEG_INFINITY;
        let peaks: Vec<_> = points
            .iter()
            .map(|&(x, y)| {
                peak = peak.max(y);
                (x, peak)
            })
            .collect();
        let outline = peaks.iter().chain(points.iter().rev()).copied().collect::<Vec<_>>();
        chart.draw_series([Polygon::new(outline, FALL.mix(0.18))])?;
        chart.draw_series(LineSeries::new(peaks, FALL.mix(0.35)))?;
        chart.draw_series(LineSeries::new(held, &PRICES))?;
        chart.draw_series(LineSeries::new(points, LINE.stroke_width(2)))?;
        label(area, &format!("equity, {}", self.quote), (110, 6), (14, &LINE))?;
        label(area, "below its peak", (230, 6), (14, &FALL))?;
        label(area, "the same without a trade", (350, 6), (14, &FAINT))
    }

    fn draw_prices(
        &self,
        area: &Area<'_>,
        symbol: Symbol,
        prices: &Curve,
        marks: &Marks,
    ) -> Result<(), Failed> {
        let price = |raw| i64::try_from(raw).map_or(0.0, |raw| float(Price::from_raw(raw)));
        let points = points(prices, price);
        let fills = marks.kept.iter().map(|&(ts, price, side)| ((ts, float(price)), side));
        let fills: Vec<_> = fills.collect();
        let all: Vec<_> = points.iter().copied().chain(fills.iter().map(|(at, _)| *at)).collect();
        let mut chart = axes(area, self.span, range(&all))?;
        chart.draw_series(LineSeries::new(points, &PRICES))?;
        let triangle = |&(at, side): &((TsNs, f64), Side)| {
            let (color, up) = if side == Side::Buy { (BOUGHT, 1) } else { (SOLD, -1) };
            let corners = vec![(0, -5 * up), (5, 4 * up), (-5, 4 * up)];
            EmptyElement::at(at) + Polygon::new(corners, color.mix(0.85))
        };
        chart.draw_series(fills.iter().map(triangle))?;
        label(area, symbol.as_str(), (110, 6), (14, &FAINT))?;
        if fills.is_empty() {
            return label(area, "no fills", (230, 6), (14, &FAINT));
        }
        label(area, "\u{25b2} bought", (230, 6), (14, &BOUGHT))?;
        label(area, "\u{25bc} sold", (310, 6), (14, &SOLD))?;
        match marks.one_of {
            1 => Ok(()),
            many => label(area, &format!("(one of {many} fills)"), (380, 6), (14, &FAINT)),
        }
    }

    /// The symbols that have no place in it.
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<
        plotters::coord::combinators::WithKeyPoints<plotters::coord::types::RangedCoordi64>,
        plotters::coord::types::RangedCoordf64,
    >,
>;

/// An empty panel over a span of time.
fn axes<'a, 'b>(
    area: &'a Area<'b>,
    (first, last): (TsNs, TsNs),
    values: Range<f64>,
) -> Result<Chart<'a, 'b>, Failed> {
    let last = last.max(first.saturating_add(1));
    let (ticks, form) = ticks(first, last);
    let decimals = decimals(values.end - values.start);
    let mut chart = ChartBuilder::on(area)
        .margin_top(30)
        .margin_right(36)
        .margin_bottom(6)
        .x_label_area_size(28)
        .y_label_area_size(100)
        .build_cartesian_2d((first..last).with_key_points(ticks), values)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style((FONT, 13).into_font().color(&FAINT))
        .y_labels(6)
        .x_label_formatter(&|ts| clock(*ts, form))
        .y_label_formatter(&|value| grouped(&format!("{value:.decimals$}")))
        .draw()?;
    Ok(chart)
}

fn label(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    (size, color): (u32, &RGBColor),
) -> Result<(), Failed> {
    let style = TextStyle::from((FONT, size).into_font()).color(color);
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

/// What a line goes through: in each bucket first, lowest, highest and last.
fn points(curve: &Curve, float: impl Fn(i128) -> f64) -> Vec<(TsNs, f64)> {
    let corners = |bucket: &Bucket| {
        let Bucket { ts_ns, first, low, high, last } = *bucket;
        let mut values = vec![first, low, high, last];
        values.dedup();
        values.into_iter().map(move |value| (ts_ns, value))
    };
    let points = curve.buckets().iter().flat_map(corners);
    points.map(|(ts_ns, raw)| (ts_ns, float(raw))).collect()
}

/// From the lowest to the highest, with a margin.
fn range(points: &[(TsNs, f64)]) -> Range<f64> {
    let low = points.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|(_, y)| *y).fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return 0.0..1.0;
    }
    let margin = ((high - low) * 0.06).max(high.abs() * 1e-6).max(1e-8);
    low - margin..high + margin
}

fn float(amount: impl Display) -> f64 {
    // A decimal is always a float, too.
    amount.to_string().parse().unwrap_or_default()
}

/// Digits behind the point that tell labels apart.
fn decimals(range: f64) -> usize {
    let mut decimals = 0;
    let mut step = range / 6.0;
    while step < 1.0 && decimals < 8 {
        step *= 10.0;
        decimals += 1;
    }
    decimals
}

/// Full seconds, minutes, hours or days between two times, ten at most, and how to write them.
fn ticks(first: TsNs, last: TsNs) -> (Vec<TsNs>, &'static str) {
    const MS: TsNs = 1_000_000;
    const S: TsNs = 1_000 * MS;
    const MINUTE: TsNs = 60 * S;
    const DAY: TsNs = 86_400 * S;
    const STEPS: [TsNs; 24] = [
        MS,
        10 * MS,
        100 * MS,
        S,
        2 * S,
        5 * S,
        10 * S,
        15 * S,
        30 * S,
        60 * S,
        120 * S,
        300 * S,
        600 * S,
        900 * S,
        1_800 * S,
        3_600 * S,
        7_200 * S,
        14_400 * S,
        21_600 * S,
        43_200 * S,
        86_400 * S,
        604_800 * S,
        2_592_000 * S,
        31_536_000 * S,
    ];
    let span = last.saturating_sub(first);
    let longest = STEPS.last().copied().unwrap_or(S);
    let step = STEPS.into_iter().find(|step| span / step <= 10).unwrap_or(longest);
    let form = match step {
        ..S => "%H:%M:%S%.3f",
        S..MINUTE => "%H:%M:%S",
        MINUTE..DAY if span < DAY => "%H:%M",
        MINUTE..DAY => "%m-%d %H:%M",
        _ => "%Y-%m-%d",
    };
    let begin = first.div_euclid(step).saturating_add(1).saturating_mul(step);
    let ticks = (0..=10).map(|n| begin.saturating_add(n * step)).take_while(|ts| *ts < last);
    (ticks.collect(), form)
}

fn clock(ts_ns: TsNs, form: &str) -> String {
    Timestamp::from_nanosecond(i128::from(ts_ns))
        .map(|time| time.strftime(form).to_string())
        .unwrap_or_else(|_| ts_ns.to_string())
}

/// An amount at two decimals, for people.
fn cents(amount: Money) -> String {
    grouped(&format!("{:.2}", float(amount)))
}

/// `1234567.8` as `1,234,567.8`.
fn grouped(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut out = sign.to_owned();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, wanted) in
            [("0", "0"), ("-1", "-1"), ("123456", "123,456"), ("-1234567.25", "-1,234,567.25")]
        {
            assert_eq!(grouped(number), wanted);
        }
    }

    #[test]
    fn ticks_are_full_and_few() {
        for span in [1, 999, 5_000_000, 346_000_000_000, 86_400_000_000_000, i64::MAX / 2] {
            let first = 1_723_161_254_036_059_768;
            let (ticks, form) = ticks(first, first + span);
            assert!(ticks.len() <= 11, "{span}: {ticks:?}");
            assert!(span < 5_000_000 || ticks.len() >= 2, "{span}: {ticks:?}");
            assert!(ticks.is_sorted() && !clock(first, form).is_empty());
        }
    }
}
