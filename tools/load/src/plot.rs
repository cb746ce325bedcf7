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

/// A line for each series; both axes are logarithmic, and so leave out what is not above 0.
#[must_use]
pub fn lines(title: &str, x_name: &str, y_name: &str, series: &[Series]) -> String {
    const HEIGHT: f64 = 420.0;
    const LEFT: f64 = 70.0;
    const TOP: f64 = 50.0;
    const BOTTOM: f64 = 360.0;
    const RIGHT: f64 = 560.0;
    let points = || series.iter().flat_map(|(_, points)| points).filter(|(x, y)| *x > 0.0 && *y > 0.0);
    let x_axis = Axis::over(points().map(|(x, _)| *x), LEFT, RIGHT);
    let y_axis = Axis::over(points().map(|(_, y)| *y), BOTTOM, TOP);
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
        let places = points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0);
        let places = places.map(|(x, y)| (x_axis.place(*x), y_axis.place(*y))).collect::<Vec<_>>();
        let path = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
        line(
            &mut svg,
            &format!(r#"<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>"#),
        );
        for (x, y) in places {
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

/// A logarithmic axis from `start` to `end` on paper.
struct Axis {
    least: f64,
    most: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Axis {
        let (least, most) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), value| {
            (f64::min(least, value), f64::max(most, value))
        });
        if least > most {
            return Axis { least: 1.0, most: 10.0, start, end };
        }
        Axis { least: least / 1.2, most: most * 1.2, start, end }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value / self.least).ln() / (self.most / self.least).ln();
        self.start + share * (self.end - self.start)
    }

    /// 1, 2 and 5 times powers of ten.
    fn ticks(&self) -> Vec<f64> {
        let decades = (self.least.log10().floor() as i32)..=(self.most.log10().ceil() as i32);
        let ticks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(decade)));
        ticks.filter(|tick| (self.least..=self.most).contains(tick)).collect()
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
        let svg = lines("p99", "receivers", "ms", &[("ours".to_owned(), vec![(100.0, 1.0), (1000.0, 12.0)])]);
        assert_eq!((svg.matches("<circle").count(), svg.matches("<polyline").count()), (2, 1));
        assert!(lines("none", "x", "y", &[]).ends_with("</svg>\n"));
    }
}
