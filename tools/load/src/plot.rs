//! Plots as SVG: bars, and lines over a sweep.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const COLORS: [&str; 6] = ["#1b6ca8", "#d1495b", "#edae49", "#66a182", "#7a5195", "#5c6b73"];

/// Points of one line, and what it is called.
pub type Series = (String, Vec<(f64, f64)>);

/// A bar for each value.
#[must_use]
pub fn bars(title: &str, unit: &str, values: &[(String, f64)]) -> String {
    const LEFT: f64 = 190.0;
    const ROW: f64 = 30.0;
    let most = values.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = head(title, 60.0 + ROW * values.len() as f64);
    for (row, (label, value)) in values.iter().enumerate() {
        let top = 50.0 + ROW * row as f64;
        let width = (WIDTH - LEFT - 110.0) * value / most;
        let color = COLORS[usize::from(row > 0)];
        let middle = top + 15.0;
        line(&mut svg, &text(LEFT - 8.0, middle, "end", label));
        line(
            &mut svg,
            &format!(r#"<rect x="{LEFT}" y="{top}" width="{width:.1}" height="20" fill="{color}"/>"#),
        );
        line(&mut svg, &text(LEFT + width + 6.0, middle, "start", &format!("{} {unit}", short(*value))));
    }
    svg + "</svg>\n"
}

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// By their ratios. What is not above 0 is left out.
    Logarithmic,
    /// By their differences, from 0 on. There are very many of them, so that no single one is marked.
    Linear,
}

/// A line for each series.
#[must_use]
pub fn lines(title: &str, x_name: &str, y_name: &str, scale: Scale, series: &[Series]) -> String {
    const HEIGHT: f64 = 420.0;
    const LEFT: f64 = 70.0;
    const TOP: f64 = 50.0;
    const BOTTOM: f64 = 360.0;
    const RIGHT: f64 = 560.0;
    let is_shown = |(x, y): &&(f64, f64)| scale == Scale::Linear || *x > 0.0 && *y > 0.0;
    let points = || series.iter().flat_map(|(_, points)| points).filter(is_shown);
    let x_axis = Axis::over(scale, points().map(|(x, _)| *x), LEFT, RIGHT);
    let y_axis = Axis::over(scale, points().map(|(_, y)| *y), BOTTOM, TOP);
    let mut svg = head(title, HEIGHT);
    for tick in x_axis.ticks() {
        let x = x_axis.place(tick);
        line(&mut svg, &format!(r##"<path d="M{x:.1} {TOP}V{BOTTOM}" stroke="#ddd"/>"##));
        line(&mut svg, &text(x, BOTTOM + 18.0, "middle", &short(tick)));
    }
    for tick in y_axis.ticks() {
        let y = y_axis.place(tick);
        line(&mut svg, &format!(r##"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="#ddd"/>"##));
        line(&mut svg, &text(LEFT - 8.0, y + 4.0, "end", &short(tick)));
    }
    line(&mut svg, &text((LEFT + RIGHT) / 2.0, HEIGHT - 14.0, "middle", x_name));
    line(&mut svg, &text(LEFT - 8.0, TOP - 10.0, "start", y_name));
    for (index, (name, points)) in series.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let places = points.iter().filter(is_shown);
        let places = places.map(|(x, y)| (x_axis.place(*x), y_axis.place(*y))).collect::<Vec<_>>();
        let path = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
        line(
            &mut svg,
            &format!(r#"<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>"#),
        );
        for (x, y) in places.iter().filter(|_| scale == Scale::Logarithmic) {
            line(&mut svg, &format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{color}"/>"#));
        }
        let y = TOP + 20.0 * index as f64;
        line(
            &mut svg,
            &format!(r#"<rect x="{}" y="{}" width="12" height="12" fill="{color}"/>"#, RIGHT + 14.0, y),
        );
        line(&mut svg, &text(RIGHT + 32.0, y + 10.0, "start", name));
    }
    svg + "</svg>\n"
}

fn head(title: &str, height: f64) -> String {
    let mut svg = String::new();
    line(
        &mut svg,
        &format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">"#
        ),
    );
    line(&mut svg, r##"<rect width="100%" height="100%" fill="#fff"/>"##);
    line(
        &mut svg,
        &format!(r#"<text x="12" y="24" font-size="15" font-weight="bold">{}</text>"#, escaped(title)),
    );
    svg
}

fn line(svg: &mut String, text: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(svg, "{text}");
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escaped(words))
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;")
}

/// Three digits that matter.
fn short(value: f64) -> String {
    let digits =
        if value >= 99.5 { 0 } else { (2 - value.max(1e-6).log10().floor() as i32).clamp(0, 4) as usize };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// An axis from `start` to `end` on paper.
struct Axis {
    scale: Scale,
    least: f64,
    most: f64,
    start: f64,
    end: f64,
}

/// Lines across a linear axis, about.
const TICKS: f64 = 6.0;

impl Axis {
    fn over(scale: Scale, values: impl Iterator<Item = f64>, start: f64, end: f64) -> Axis {
        let (least, most) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), value| {
            (f64::min(least, value), f64::max(most, value))
        });
        let (least, most) = match scale {
            _ if least > most => (1.0, 10.0),
            Scale::Logarithmic => (least / 1.2, most * 1.2),
            Scale::Linear => (0.0, most * 1.05),
        };
        Axis { scale, least, most, start, end }
    }

    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Logarithmic => (value / self.least).ln() / (self.most / self.least).ln(),
            Scale::Linear => (value - self.least) / (self.most - self.least),
        };
        self.start + share * (self.end - self.start)
    }

    /// 1, 2 and 5 times powers of ten, or multiples of one of these.
    fn ticks(&self) -> Vec<f64> {
        let decades = |value: f64| value.log10().floor() as i32;
        let round = |decade: i32| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(decade));
        match self.scale {
            Scale::Logarithmic => {
                let ticks = (decades(self.least)..=decades(self.most) + 1).flat_map(round);
                ticks.filter(|tick| (self.least..=self.most).contains(tick)).collect()
            }
            Scale::Linear => {
                let wanted = (self.most - self.least) / TICKS;
                let steps = (decades(wanted)..=decades(wanted) + 1).flat_map(round);
                let step = steps.into_iter().find(|step| *step >= wanted).unwrap_or(wanted);
                (0..).map(|count| f64::from(count) * step).take_while(|tick| *tick <= self.most).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short() {
        assert_eq!(
            [0.0312, 0.5, 7.77, 12.34, 99.9, 1234.5].map(short),
            ["0.0312", "0.5", "7.77", "12.3", "100", "1234"]
        );
    }

    #[test]
    fn plots_have_what_they_show() {
        let svg = bars("Cost <1>", "s/GB", &[("floor".to_owned(), 0.5), ("ours".to_owned(), 1.0)]);
        assert!(svg.contains("Cost &lt;1>") && svg.contains("0.5 s/GB") && svg.ends_with("</svg>\n"));
        let svg = lines(
            "p99",
            "receivers",
            "ms",
            Scale::Logarithmic,
            &[("ours".to_owned(), vec![(100.0, 1.0), (1000.0, 12.0)])],
        );
        assert_eq!((svg.matches("<circle").count(), svg.matches("<polyline").count()), (2, 1));
        let svg = lines(
            "memory",
            "minutes",
            "MiB",
            Scale::Linear,
            &[("ours".to_owned(), vec![(0.0, 20.0), (60.0, 21.0)])],
        );
        assert!((0..=3).all(|tick| svg.contains(&format!(">{}</text>", tick * 20))), "{svg}");
        assert!(lines("none", "x", "y", Scale::Linear, &[]).ends_with("</svg>\n"));
    }
}
