//! Long lines on a narrow terminal.

use console::measure_text_width;

/// A line broken between words so that it fits into so many columns; what follows is set in by two. A word that is too long stays whole.
#[doc(hidden)]
pub fn wrapped(text: &str, columns: usize) -> String {
    const INDENT: &str = "  ";
    let (mut out, mut width) = (String::new(), 0);
    for word in text.split_inclusive(' ') {
        let (visible, whole) = (measure_text_width(word.trim_end()), measure_text_width(word));
        if width > INDENT.len() && width + visible > columns {
            out.truncate(out.trim_end().len());
            out += "\n";
            out += INDENT;
            width = INDENT.len();
        }
        out += word;
        width += whole;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_are_broken_between_words_and_set_in() {
        assert_eq!(wrapped("epoch 1  loss 0.5  accuracy 0.9", 20), "epoch 1  loss 0.5\n  accuracy 0.9");
        assert_eq!(wrapped("short", 20), "short");
        assert_eq!(wrapped("averyveryverylongword and more", 10), "averyveryverylongword\n  and more");
        assert_eq!(wrapped("", 10), "");
        // Columns are counted, not bytes.
        assert_eq!(wrapped("äöü äöü äöü", 11), "äöü äöü äöü");
    }
}
