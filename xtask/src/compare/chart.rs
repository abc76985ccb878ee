//! A bar chart as SVG, readable on light and dark pages.

use super::report::{Figure, figure};
use super::{is_limit, is_ours};

const WIDTH: f64 = 800.0;
/// Names end here and bars begin.
const LEFT: f64 = 170.0;
/// The longest bar; its number needs the rest.
const LONGEST: f64 = 480.0;
const TOP: f64 = 56.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
/// A bar that is longer than so many times landspout's, or the shortest one's, is cut, since nobody could read the others beside it.
const CUT: f64 = 4.0;

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.unit, .version { fill: #59636e; font-size: 12px }
.ours { font-weight: 600 }
rect { fill: #8fa8c8 }
rect.ours { fill: #d4572a }
rect.limit { fill: #b4bac2 }
line { stroke: #1f2328; stroke-width: 1.5 }
path { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .unit, .version { fill: #9198a1 }
  rect { fill: #55749c }
  rect.ours { fill: #e8703f }
  rect.limit { fill: #656c76 }
  line { stroke: #e6edf3 }
  path { fill: #0d1117 }
}
";

/// A bar for each figure, with its quartiles as a line across its end. Limits are no peers and have another colour.
pub(super) fn bars(title: &str, unit: &str, figures: &[Figure]) -> String {
    let ours = figures.iter().find(|one| is_ours(&one.peer)).or(figures.first());
    let longest = figures.iter().map(|one| one.value.high).fold(f64::MIN_POSITIVE, f64::max);
    let end = ours.map_or(longest, |ours| longest.min(ours.value.median * CUT)).max(f64::MIN_POSITIVE);
    let height = TOP + ROW * figures.len() as f64 + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n<text class=\"title\" x=\"8\" y=\"20\">{}</text>\n\
         <text class=\"unit\" x=\"8\" y=\"40\">{}; less is better</text>\n",
        escaped(title),
        escaped(title),
        escaped(unit),
    );
    for (at, one) in figures.iter().enumerate() {
        let class = match one.peer.as_str() {
            name if is_ours(name) => "ours",
            name if is_limit(name) => "limit",
            _ => "peer",
        };
        svg.push_str(&row(one, class, TOP + ROW * at as f64, end));
    }
    svg.push_str("</svg>\n");
    svg
}

fn row(one: &Figure, class: &str, top: f64, end: f64) -> String {
    let place = |value: f64| LEFT + value.min(end) / end * LONGEST;
    let (bar_end, middle, baseline) = (place(one.value.median), top + BAR / 2.0, top + BAR - 3.5);
    let mut svg = format!(
        "<text class=\"{class}\" x=\"{:.1}\" y=\"{baseline:.1}\" text-anchor=\"end\">{}</text>\n\
         <rect class=\"{class}\" x=\"{LEFT:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>\n",
        LEFT - 8.0,
        escaped(&one.peer),
        bar_end - LEFT,
    );
    if one.value.median > end {
        // A gap shows that the bar goes on.
        let gap = bar_end - 24.0;
        svg.push_str(&format!("<path d=\"M{gap:.1} {top:.1}h4l-6 {BAR}h-4z\"/>\n"));
    } else if one.value.low < one.value.high {
        svg.push_str(&format!(
            "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>\n",
            place(one.value.low),
            place(one.value.high)
        ));
    }
    let mark = if one.marked { " (disturbed)" } else { "" };
    let x = bar_end.max(place(one.value.high)) + 8.0;
    svg.push_str(&format!(
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{baseline:.1}\">{}{mark}</text>\n",
        figure(one.value.median)
    ));
    svg
}

/// Text that means itself in XML.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::report::figures;
    use super::super::samples::{Measured, Sample};
    use super::*;

    fn chart(peers: &[(&str, f64)]) -> String {
        let sample = |(peer, value): &(&str, f64)| Sample {
            round: 1,
            peer: (*peer).to_owned(),
            version: String::new(),
            date: String::new(),
            commit: String::new(),
            measured: Measured { value: *value, ..Measured::default() },
        };
        let samples: Vec<Sample> = peers.iter().map(sample).collect();
        bars("a < b & \"c\"", "µs", &figures(&samples))
    }

    #[test]
    fn text_is_escaped() {
        let svg = chart(&[("<peer>", 1.0)]);
        assert!(svg.contains("<title>a &lt; b &amp; &quot;c&quot;</title>"), "{svg}");
        assert!(svg.contains(">&lt;peer&gt;</text>"), "{svg}");
    }

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let svg = chart(&[("raw", 8.0), ("landspout", 9.0), ("hyper", 12.0)]);
        for bar in [
            "<rect class=\"limit\" x=\"170.0\" y=\"56.0\" width=\"320.0\"",
            "<rect class=\"ours\" x=\"170.0\" y=\"82.0\" width=\"360.0\"",
            "<rect class=\"peer\" x=\"170.0\" y=\"108.0\" width=\"480.0\"",
        ] {
            assert!(svg.contains(bar), "{bar} is not in {svg}");
        }
        assert!(!svg.contains("<path"));
    }

    #[test]
    fn a_bar_that_dwarfs_all_others_is_cut_and_says_so() {
        let svg = chart(&[("landspout", 10.0), ("tornado", 400.0)]);
        assert!(svg.contains("<rect class=\"ours\" x=\"170.0\" y=\"56.0\" width=\"120.0\""), "{svg}");
        assert!(svg.contains("width=\"480.0\"") && svg.contains("<path") && svg.contains(">400</text>"), "{svg}");
    }

    #[test]
    fn a_chart_of_nothing_is_a_chart() {
        assert!(chart(&[]).ends_with("</svg>\n"));
        assert!(!chart(&[("raw", 0.0)]).contains("NaN"));
    }
}
