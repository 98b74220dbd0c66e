//! Numbers as a person reads them.

/// Memory as a person reads it: `4.29 GB`, of 10⁹ bytes.
#[doc(hidden)]
pub fn bytes_shown(bytes: usize) -> String {
    let (mut size, mut unit) = (bytes as f64, "bytes");
    for larger in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if size < 999.5 {
            break;
        }
        (size, unit) = (size / 1000.0, larger);
    }
    if unit == "bytes" {
        return format!("{bytes} bytes");
    }
    let digits = if size < 9.995 { 2 } else { usize::from(size < 99.95) };
    format!("{size:.digits$} {unit}")
}

/// 101770 as `101,770`.
#[doc(hidden)]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{bytes_shown, grouped};

    #[test]
    fn sizes_have_three_digits() {
        let sizes = [0, 999, 1000, 9_994, 9_996, 999_499, 999_500, 24_684_092_000, 1 << 52, usize::MAX];
        let words = [
            "0 bytes",
            "999 bytes",
            "1.00 kB",
            "9.99 kB",
            "10.0 kB",
            "999 kB",
            "1.00 MB",
            "24.7 GB",
            "4.50 PB",
            "18.4 EB",
        ];
        assert_eq!(sizes.map(bytes_shown), words);
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 101_770, 1_000_000].map(grouped), ["0", "999", "1,000", "101,770", "1,000,000"]);
    }
}
