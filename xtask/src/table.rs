//! Figures against what is asked of them, as a Markdown table.

/// Whether more is better.
#[derive(Clone, Copy)]
pub(crate) enum Better {
    More,
    Less,
}

/// A figure and what it should be.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Kiln's own figure, with its unit.
    pub(crate) kiln: String,
    /// The peer's, with its name; empty where there is none.
    pub(crate) peer: String,
    /// The figure that is judged: a ratio, or Kiln's own.
    pub(crate) value: f64,
    /// Which way is better.
    pub(crate) better: Better,
    /// What is asked at least, and what is aimed at.
    pub(crate) asked: Option<(f64, f64)>,
}

impl Row {
    fn reaches(&self, asked: f64) -> bool {
        match self.better {
            Better::More => self.value >= asked,
            Better::Less => self.value <= asked,
        }
    }

    fn verdict(&self) -> &'static str {
        match self.asked {
            None => "",
            Some((least, _)) if !self.reaches(least) => "**missed**",
            Some((_, aim)) if !self.reaches(aim) => "reached",
            Some(_) => "aim reached",
        }
    }
}

/// Three significant digits.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = if value.abs() >= 100.0 { 0 } else { 2 - value.abs().max(0.01).log10().floor() as i32 };
    format!("{value:.*}", digits.max(0) as usize)
}

/// The rows as a Markdown table.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text =
        String::from("| | Kiln | beside it | ratio or figure | at least | aim | |\n|---|---|---|---|---|---|---|\n");
    for row in rows {
        let (least, aim) = row.asked.map_or_else(Default::default, |(least, aim)| (short(least), short(aim)));
        let Row { what, kiln, peer, value, .. } = row;
        text += &format!("| {what} | {kiln} | {peer} | {} | {least} | {aim} | {} |\n", short(*value), row.verdict());
    }
    text
}

/// `document` with what stands between the two marker lines replaced.
pub(crate) fn replaced(document: &str, begin: &str, end: &str, with: &str) -> Option<String> {
    let (before, rest) = document.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{with}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::{Better, Row, replaced, short};

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 0.0512, 1.0, 2.346, 45.67, 327.4].map(short), ["0", "0.0512", "1.00", "2.35", "45.7", "327"]);
    }

    #[test]
    fn verdicts_know_which_way_is_better() {
        let row = |value, better| Row {
            what: String::new(),
            kiln: String::new(),
            peer: String::new(),
            value,
            better,
            asked: Some(match better {
                Better::More => (4.0, 5.5),
                Better::Less => (300.0, 100.0),
            }),
        };
        let more = [3.9, 4.0, 6.0].map(|v| row(v, Better::More).verdict());
        assert_eq!(more, ["**missed**", "reached", "aim reached"]);
        let less = [301.0, 300.0, 90.0].map(|v| row(v, Better::Less).verdict());
        assert_eq!(less, ["**missed**", "reached", "aim reached"]);
        // A peer's figure may be an aim that lies below what is asked at least.
        let below = Row { asked: Some((97.5, 95.0)), ..row(96.0, Better::More) };
        assert_eq!(below.verdict(), "**missed**");
    }

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        assert_eq!(replaced("a<b>old</b>c", "<b>", "</b>", "new\n").as_deref(), Some("a<b>\nnew\n</b>c"));
        assert_eq!(replaced("a", "<b>", "</b>", ""), None);
    }
}
