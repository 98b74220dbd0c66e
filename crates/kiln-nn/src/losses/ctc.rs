//! Connectionist temporal classification.

use super::{Counting, Loss, computed_in, is_label};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};

/// The logarithm of 0, finite so that no gradient is NaN.
const NEVER: f64 = -1e30;

/// Connectionist temporal classification: −ln of the probability of all alignments of the target with the steps,
/// where repeated classes are merged and blanks removed (Graves et al. 2006; PyTorch's `CTCLoss`, Keras's `CTC`).
///
/// Predictions are logits or log-probabilities (n, T, classes). Targets are i64 (n, S), padded at the end with blanks
/// or numbers below 0. A mask (n, T) gives the number of steps of each sample. There is one loss a sample; it is not
/// divided by the target's length, as PyTorch's mean is.
///
/// ```
/// use kiln_autograd::Var;
/// use kiln_nn::{Ctc, Loss};
/// use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// // Two steps, the blank and one letter, all alike: of four ways three spell it.
/// let logits = Var::from(Tensor::zeros([1, 2, 2], DType::F64, &cpu)?);
/// let target = Tensor::from_slice(&[1i64], [1, 1], &cpu)?;
/// assert!((Ctc::new().forward(&logits, &target)?.item()? + 0.75f64.ln()).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Ctc {
    pub(super) blank: usize,
}

impl Ctc {
    /// The loss with class 0 as the blank.
    pub const fn new() -> Self {
        Ctc { blank: 0 }
    }

    /// The class of the blank.
    #[must_use]
    pub const fn blank(self, class: usize) -> Self {
        Ctc { blank: class }
    }

    /// The loss of each sample, where `steps` is the number of steps of each.
    ///
    /// # Errors
    /// Logits that are not (n, T, classes), targets that are not labels (n, S), a label outside the classes, a target
    /// that needs more steps than there are.
    pub fn each_of(&self, logits: &Var, targets: &Tensor, steps: &[usize]) -> Result<Var> {
        let paths = Paths::new(*self, logits.shape(), targets, steps)?;
        let logits = logits.to_dtype(computed_in(logits.dtype()))?;
        paths.losses(&logits.log_softmax(2)?)
    }

    /// The number of steps of each sample by a mask (n, T).
    pub(super) fn steps(&self, prediction: &Shape, mask: Option<&Tensor>) -> Result<Vec<usize>> {
        let (n, t) = (prediction.first().copied().unwrap_or(0), prediction.get(1).copied().unwrap_or(0));
        let Some(mask) = mask else { return Ok(vec![t; n]) };
        let refused = |why: &str| Err(Error::value(self.name(), format!("the mask {} {why}", mask.shape())));
        if mask.dims() != [n, t] || mask.dtype() != DType::Bool {
            return refused("is not bool (n, T), true where a step counts");
        }
        let mut steps = Vec::with_capacity(n);
        for row in mask.to_vec::<bool>()?.chunks(t.max(1)) {
            let count = row.iter().take_while(|&&counts| counts).count();
            if row[count..].contains(&true) {
                return refused("leaves out steps before the last that counts");
            }
            steps.push(count);
        }
        Ok(steps)
    }
}

impl Loss for Ctc {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        self.each_of(prediction, target.tensor(), &self.steps(prediction.shape(), None)?)
    }
    fn counted(&self, prediction: &Var, target: &Tensor, counting: Counting<'_>) -> Result<Var> {
        let steps = self.steps(prediction.shape(), counting.mask)?;
        let mut each = self.each_of(prediction, target, &steps)?;
        if let Some(weights) = counting.weights {
            if weights.dims() != each.dims() {
                let message = format!("weights {} for {} samples: one for each is needed", weights.shape(), steps.len());
                return Err(Error::shape(self.name(), message));
            }
            each = each.mul(&Var::constant(weights.to_dtype(each.dtype())?))?;
        }
        each.mean_all()?.to_dtype(prediction.dtype())
    }
    /// A mask gives the number of steps of each sample.
    fn takes_mask(&self, mask: &Tensor, prediction: &Shape, _: &Shape) -> Result<bool> {
        Ok(prediction.rank() == 3 && mask.dims() == &prediction[..2])
    }
    fn class_axis(&self, _: &Shape) -> Result<Option<usize>> {
        Ok(Some(2))
    }
    fn name(&self) -> &'static str {
        "ctc"
    }
}

/// The targets with a blank around each label, (n, L) with L = 2 S + 1, and what the recursion needs.
struct Paths {
    steps: Vec<usize>,
    /// i64 (T·n·L): the index of each place's class in the flat predictions, step by step.
    index: Tensor,
    /// bool (n, L): whether a path may come from two places before, because the label is another one.
    skips: Tensor,
    /// bool (n, L): where a path may begin, and where it may end.
    first: Tensor,
    last: Tensor,
}

impl Paths {
    fn new(ctc: Ctc, logits: &Shape, targets: &Tensor, steps: &[usize]) -> Result<Self> {
        let name = ctc.name();
        let &[n, t, classes] = &logits[..] else {
            return Err(Error::shape(name, format!("logits (n, T, classes) are expected, got {logits}")));
        };
        if !is_label(targets.dtype()) || targets.rank() != 2 || targets.dims()[0] != n {
            let message = format!("targets {} {} for {n} samples: labels (n, S) are needed", targets.dtype(), targets.shape());
            return Err(Error::new(ErrorKind::Shape, name, message));
        }
        if ctc.blank >= classes {
            return Err(Error::value(name, format!("the blank is class {}, of {classes} classes", ctc.blank)));
        }
        if steps.len() != n || steps.iter().any(|&own| own > t) {
            return Err(Error::value(name, format!("{n} numbers of steps of at most {t} are needed, got {steps:?}")));
        }
        let (wide, device) = (2 * targets.dims()[1] + 1, targets.device());
        let labels = targets.to_dtype(DType::I64)?.to_vec::<i64>()?;
        let mut places = vec![ctc.blank; n * wide];
        let [mut skips, mut first, mut last] = [(); 3].map(|()| vec![false; n * wide]);
        for (sample, &own) in steps.iter().enumerate() {
            let labels = &labels[sample * (wide / 2)..][..wide / 2];
            let labels = spelled(ctc, sample, labels, classes, own)?;
            let begin = sample * wide;
            (first[begin], last[begin + 2 * labels.len()]) = (true, true);
            for (at, &label) in labels.iter().enumerate() {
                let place = begin + 2 * at + 1;
                places[place] = label;
                skips[place] = at > 0 && labels[at - 1] != label;
                first[place] = at == 0;
                last[place] = at + 1 == labels.len();
            }
        }
        let at = |step: usize| {
            let classes_of = move |sample: usize| (sample * t + step) * classes;
            places.iter().enumerate().map(move |(place, class)| (classes_of(place / wide) + class) as i64)
        };
        let index: Vec<i64> = (0..t).flat_map(at).collect();
        let of = |values: &[bool]| Tensor::from_slice(values, [n, wide], device);
        Ok(Paths {
            steps: steps.to_vec(),
            index: Tensor::from_slice(&index, [index.len()], device)?,
            skips: of(&skips)?,
            first: of(&first)?,
            last: of(&last)?,
        })
    }

    /// The forward recursion over the steps: the log-probability of all paths to each place.
    fn losses(&self, log: &Var) -> Result<Var> {
        let (n, t, wide) = (log.dims()[0], log.dims()[1], self.first.dims()[1]);
        let never = Var::constant(Tensor::full([n, wide], NEVER, log.dtype(), log.device())?);
        let said = log.reshape([log.shape().elements()])?.index_select(0, &self.index)?.reshape([t, n, wide])?;
        let start = never.mul_scalar(0.0)?;
        // Before the first step no place is reached.
        let mut ways = never.clone();
        for step in 0..t {
            let said = said.slice(0, step..step + 1)?.reshape([n, wide])?;
            let next = if step == 0 {
                Var::select(&self.first, &start, &never)?
            } else {
                let back = |places: usize| match wide.checked_sub(places) {
                    Some(rest) => {
                        Var::concat(&[&never.slice(1, 0..places)?, &ways.slice(1, 0..rest)?], 1)
                    }
                    None => Ok(never.clone()),
                };
                let skipped = Var::select(&self.skips, &back(2)?, &never)?;
                Var::stack(&[&ways, &back(1)?, &skipped], 0)?.logsumexp(0)?
            };
            let next = next.add(&said)?;
            let going: Vec<bool> = self.steps.iter().map(|&own| step < own).collect();
            ways = if going.contains(&false) {
                Var::select(&Tensor::from_slice(&going, [n, 1], log.device())?, &next, &ways)?
            } else {
                next
            };
        }
        Var::select(&self.last, &ways, &never)?.logsumexp(1)?.neg()
    }
}

/// A sample's labels without padding, if they fit into this number of steps.
fn spelled(ctc: Ctc, sample: usize, labels: &[i64], classes: usize, steps: usize) -> Result<Vec<usize>> {
    let pads = |label: i64| label < 0 || label == ctc.blank as i64;
    let count = labels.iter().position(|&label| pads(label)).unwrap_or(labels.len());
    let (labels, rest) = labels.split_at(count);
    if let Some(label) = rest.iter().find(|&&label| !pads(label)) {
        let message = format!("sample {sample} has the label {label} after padding or the blank {}", ctc.blank);
        return Err(Error::value(ctc.name(), message));
    }
    if let Some(label) = labels.iter().find(|&&label| label >= classes as i64) {
        let message = format!("sample {sample} has the label {label}, expected 0 to {}", classes - 1);
        return Err(Error::value(ctc.name(), message));
    }
    // Between two equal labels there must be a blank.
    let repeated = labels.windows(2).filter(|pair| pair[0] == pair[1]).count();
    let needed = labels.len() + repeated;
    if needed > steps || steps == 0 {
        let message = format!(
            "sample {sample} has {} labels, {repeated} of them like the one before, and {steps} steps: at least {} are needed",
            labels.len(),
            needed.max(1)
        );
        return Err(Error::value(ctc.name(), message));
    }
    Ok(labels.iter().map(|&label| label as usize).collect())
}
