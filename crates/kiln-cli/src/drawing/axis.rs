//! An axis: how far it goes and where its ticks are. Every pair of numbers makes one.

/// From `low` to `high`, which is more; ticks at multiples of `step`. Of a logarithmic axis these are exponents of 10.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    step: f64,
    scale: Scale,
}

/// Powers of 10 of a logarithmic axis that has ticks between them too.
const FEW: f64 = 2.5;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
}

impl Axis {
    /// From one number to another, with about so many ticks.
    pub(crate) fn new(low: f64, high: f64, ticks: usize) -> Axis {
        let (low, high) = around(low, high);
        // Halves, as the whole may be more than there is a number for.
        let half = high / 2.0 - low / 2.0;
        Axis { low, high, step: round_above(half / (ticks.max(2) as f64 / 2.0)), scale: Scale::Linear }
    }

    /// Of whole numbers, which is what its ticks are too.
    pub(crate) fn whole(low: f64, high: f64, ticks: usize) -> Axis {
        if low >= high {
            // A single one stands in the middle.
            return Axis { low: low - 0.5, high: low + 0.5, step: 1.0, scale: Scale::Linear };
        }
        let axis = Axis::new(low, high, ticks);
        Axis { step: axis.step.max(1.0), ..axis }
    }

    /// Logarithmic, of numbers above 0; ticks are powers of 10, and 2 and 5 times such where those are few.
    pub(crate) fn logarithmic(low: f64, high: f64, ticks: usize) -> Axis {
        let (low, high) = around(low.log10(), high.log10());
        Axis { low, high, step: ((high - low) / ticks.max(2) as f64).ceil(), scale: Scale::Logarithmic }
    }

    /// Where a number is: 0 at the lower end, 1 at the upper.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let value = if self.scale == Scale::Logarithmic { value.log10() } else { value };
        (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
    }

    pub(crate) fn ticks(&self) -> impl Iterator<Item = f64> {
        let &Axis { low, high, step, scale } = self;
        // By some rounding, an end that is a multiple is none.
        let hardly = 1e-6;
        let (first, last) = ((low / step - hardly).ceil(), (high / step + hardly).floor());
        // A zero is no −0.
        let multiple = move |i: usize| (first + i as f64) * step + 0.0;
        let multiples = (0..=(last - first).max(0.0) as usize).map(multiple);
        let ticks: Vec<f64> = match scale {
            Scale::Linear => multiples.collect(),
            Scale::Logarithmic if high - low < FEW => {
                let powers = (low.floor() as i32..=high.floor() as i32).map(|exponent| 10f64.powi(exponent));
                let between = powers.flat_map(|power| [power, 2.0 * power, 5.0 * power]);
                between.filter(|tick| (-hardly..=1.0 + hardly).contains(&self.place(*tick))).collect()
            }
            Scale::Logarithmic => multiples.map(|exponent| 10f64.powi(exponent as i32)).collect(),
        };
        ticks.into_iter()
    }

    /// A tick's value with the digits that tell it from the next one.
    pub(crate) fn label(&self, tick: f64) -> String {
        if self.scale == Scale::Logarithmic {
            let short = format!("{tick:.0e}");
            let plain = short.parse::<f64>().ok().filter(|tick| (1e-4..1e6).contains(tick));
            return plain.map_or(short, |tick| tick.to_string());
        }
        let exponent = |value: f64| value.abs().log10().floor() as i32;
        let largest = self.low.abs().max(self.high.abs());
        let step = exponent(self.step * 1.000_001);
        if largest < 1e6 && self.step > 1e-6 {
            return format!("{tick:.*}", (-step).max(0) as usize);
        }
        if tick == 0.0 {
            return "0".to_owned();
        }
        format!("{tick:.*e}", (exponent(tick) - step).clamp(0, 15) as usize)
    }
}

/// The numbers themselves where there is something between them, else some room around them.
fn around(low: f64, high: f64) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    if high / 2.0 - low / 2.0 > 1e-12 * size && size > 1e-290 {
        return (low, high);
    }
    let room = if size > 1e-290 { 0.05 * size } else { 1.0 };
    ((low - room).max(f64::MIN), (high + room).min(f64::MAX))
}

/// The least of 1, 2 and 5 times a power of 10 that is not below a number above 0.
fn round_above(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= value * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> Vec<String> {
        axis.ticks().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_told_apart() {
        assert_eq!(labels(Axis::new(0.003, 0.55, 8)), ["0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(labels(Axis::new(0.85, 1.0, 8)), ["0.86", "0.88", "0.90", "0.92", "0.94", "0.96", "0.98", "1.00"]);
        assert_eq!(labels(Axis::new(-1.0, 1.0, 4)), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels(Axis::new(0.0, 400.0, 8)), ["0", "50", "100", "150", "200", "250", "300", "350", "400"]);
        assert_eq!(labels(Axis::new(0.0, 3e-7, 3)), ["0", "1e-7", "2e-7", "3e-7"]);
        assert_eq!(labels(Axis::new(1.5e9, 2.5e9, 4)), ["1.5e9", "2.0e9", "2.5e9"]);
    }

    #[test]
    fn whole_numbers_have_whole_ticks() {
        assert_eq!(labels(Axis::whole(1.0, 3.0, 12)), ["1", "2", "3"]);
        assert_eq!(labels(Axis::whole(1.0, 30.0, 12)), ["5", "10", "15", "20", "25", "30"]);
        assert_eq!(labels(Axis::whole(7.0, 7.0, 12)), ["7"]);
        assert_eq!(labels(Axis::whole(1.0, 2e6, 4)), ["5e5", "1.0e6", "1.5e6", "2.0e6"]);
    }

    #[test]
    fn logarithms_have_powers_of_10() {
        let axis = Axis::logarithmic(1e-7, 10.0, 10);
        assert_eq!(labels(axis), ["1e-7", "1e-6", "1e-5", "0.0001", "0.001", "0.01", "0.1", "1", "10"]);
        assert_eq!([1e-7, 1e-3, 10.0].map(|value| axis.place(value)), [0.0, 0.5, 1.0]);
        assert_eq!(labels(Axis::logarithmic(3e-5, 1.1e-3, 10)), ["5e-5", "0.0001", "0.0002", "0.0005", "0.001"]);
        assert_eq!(labels(Axis::logarithmic(1e-30, 1e30, 10)).len(), 11);
        assert!(labels(Axis::logarithmic(0.01, 0.01, 10)).contains(&"0.01".to_owned()));
    }

    #[test]
    fn every_pair_of_numbers_has_a_few_ticks() {
        let numbers =
            [0.0, 5e-324, 1e-310, 1e-300, 1e-20, 0.1, 1.0, 1.0 + 1e-15, 1.0 + 1e-9, 3.7, 1e15, 1e300, 1.7e308];
        let numbers: Vec<f64> =
            numbers.iter().flat_map(|&number| [-number, number]).chain([f64::MIN, f64::MAX]).collect();
        for &a in &numbers {
            for &b in &numbers {
                let axis = Axis::new(a.min(b), a.max(b), 8);
                let count = axis.ticks().take(100).count();
                assert!((2..=10).contains(&count), "{a} {b}: {count}");
                for tick in axis.ticks() {
                    let place = axis.place(tick);
                    assert!((-1e-5..=1.00001).contains(&place), "{a} {b}: {tick} is at {place}");
                    assert!(axis.label(tick).len() < 24, "{a} {b}: {}", axis.label(tick));
                }
                assert!((0.0..=1.0).contains(&axis.place(a)) && (0.0..=1.0).contains(&axis.place(b)));
            }
        }
    }
}
