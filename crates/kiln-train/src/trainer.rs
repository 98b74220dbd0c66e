//! The trainer: a model with what trains it.

use crate::batch_norm;
use crate::fit::{Lent, fit};
use crate::metrics::OfOutput;
use crate::options::BATCH;
use crate::predict::in_batches;
use crate::{
    Criterion, EvaluateOptions, Evaluation, FitOptions, History, Metric, Mixed, Objective, Supervised, TrainState,
    measure,
};
use kiln_datasets::{Dataset, Loader};
use kiln_nn::{AnyLayer, Ctx, Layer, StateDict, Stateful};
use kiln_optim::Optimizer;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensors};

/// An objective with the optimizer that trains it and the metrics that are reported.
///
/// Its state ([`Stateful`]) is all that another trainer, made in the same way, needs to go on with the same bits: `model.…`,
/// `optimizer.…` and `state.…`.
pub struct Trainer<O, P> {
    /// What is trained.
    pub objective: O,
    /// What trains it.
    pub optimizer: P,
    /// Where the training is.
    pub state: TrainState,
    metrics: Vec<Box<dyn Metric>>,
    /// Samples a batch of the last fit, which evaluations take over.
    pub(crate) batch_size: usize,
    precision: Option<Mixed>,
}

/// A model ready to be trained, in Keras's words: an optimizer and the loss of the model's output against the targets; of a model
/// with several outputs, [`Losses`](crate::Losses).
pub fn compile<M: Layer, L: Criterion, P: Optimizer>(model: M, optimizer: P, loss: L) -> Trainer<Supervised<M, L>, P> {
    Trainer::new(Supervised { model, loss }, optimizer)
}

impl<O: Objective, P: Optimizer> Trainer<O, P> {
    /// A trainer of any objective, without metrics.
    pub fn new(objective: O, optimizer: P) -> Self {
        Trainer {
            objective,
            optimizer,
            state: TrainState::default(),
            metrics: Vec::new(),
            batch_size: BATCH,
            precision: None,
        }
    }

    /// Computes in mixed precision, in training, validation, evaluation and prediction: parameters, gradients and the optimizer stay f32,
    /// and so do checkpoints; layers compute in a half type ([`Ctx::compute`]).
    ///
    /// ```
    /// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
    /// # use kiln_optim::Adam;
    /// # use kiln_tensor::Device;
    /// # fn main() -> kiln_tensor::Result<()> {
    /// # let model = Sequential::new().push(Dense::new(1)).build([2], &Device::cpu(), 1)?;
    /// use kiln_train::{Mixed, compile};
    /// let trainer = compile(model, Adam::new(0.001), MeanSquaredError::new()).precision(Mixed::Bf16);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn precision(self, precision: impl Into<Option<Mixed>>) -> Self {
        Trainer { precision: precision.into(), ..self }
    }

    /// A context of evaluation in the precision of the training.
    pub fn eval_ctx(&self) -> Ctx {
        Mixed::apply(self.precision, Ctx::eval())
    }

    /// Reports a metric too. Two of the same name are refused when they are used: [`Named`](crate::Named) gives one another.
    #[must_use]
    pub fn metric(mut self, metric: impl Metric + 'static) -> Self {
        self.metrics.push(Box::new(metric));
        self
    }

    /// Reports a metric of one of several outputs, as `digit_accuracy`.
    #[must_use]
    pub fn metric_of(self, output: impl Into<String>, metric: impl Metric + 'static) -> Self {
        self.metric(OfOutput { output: output.into(), metric })
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.state.step
    }

    /// Where the parameters are.
    fn device(&self) -> Device {
        let parameters = self.objective.parameters();
        parameters.first().map_or_else(Device::cpu, |(_, parameter)| parameter.value().device().clone())
    }

    /// Trains for some epochs, in a session of the model's device ([`kiln_tensor::Device::session`]). A second call goes on where
    /// the first ended: five epochs and five more are ten, bit for bit. An epoch that was left in the middle is the first of
    /// them, from there on.
    ///
    /// # Errors
    /// Options that make no sense, data that does not fit the model: the weights stay those of the last finished step. A last
    /// batch of 1 sample that the model cannot be trained on is found before the first step. A loss that is not finite, in
    /// training or validation (`ErrorKind::Diverged`): they are those of the last completed epoch again.
    pub fn fit(&mut self, data: &dyn Dataset, options: FitOptions<'_>) -> Result<History> {
        let device = self.device();
        let Trainer { objective, optimizer, state, metrics, batch_size, precision } = self;
        let lent = Lent { objective, optimizer, metrics, state, batch_size, precision: *precision };
        device.session(|| fit(lent, data, options, &device))
    }

    /// Makes the running averages of batch norms the plain means over a data set, in batches as large as those of the last
    /// [`Trainer::fit`], with the layers in training mode: for weights that training did not produce, such as an average of weights
    /// ([`WeightAverage`](kiln_optim::WeightAverage)). PyTorch's `update_bn`.
    ///
    /// A last batch of 1 sample is left out, unless all batches are: batch normalization cannot be computed for it.
    ///
    /// # Errors
    /// Data that is empty, has no end or does not fit the model. What layers carry from batch to batch stays as it is.
    pub fn update_batch_norm(&mut self, data: &dyn Dataset) -> Result<()> {
        if data.len() == usize::MAX {
            let message = "the data has no end, and its mean cannot be computed: pass a part of it";
            return Err(Error::value("update_batch_norm", message));
        }
        let device = self.device();
        let Trainer { objective, state, batch_size, precision, .. } = self;
        let loader = Loader::new(data).plain().batch_size(*batch_size).device(&device);
        device.session(|| batch_norm::update(objective, &loader, 0, state.seed, *precision))
    }

    /// Loss and metrics on a data set, with the layers in evaluation mode, in batches as large as those of the last
    /// [`Trainer::fit`] (32 before the first), so that it needs no more memory than that. What stateful layers carry stays as it
    /// is.
    ///
    /// # Errors
    /// Data that is empty or does not fit the model.
    pub fn evaluate(&self, data: &dyn Dataset) -> Result<Evaluation> {
        self.evaluate_with(data, EvaluateOptions::new())
    }

    /// As [`Trainer::evaluate`], in batches of another size. What it reports does not depend on that, but for rounding.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`], and batches of 0.
    pub fn evaluate_with(&self, data: &dyn Dataset, options: EvaluateOptions) -> Result<Evaluation> {
        let (batch_size, device) = (options.resolve("evaluate", self.batch_size)?, self.device());
        let ctx = self.eval_ctx();
        device.session(|| measure(&self.objective, &self.metrics, data, batch_size, &device, &ctx))
    }
}

impl<M: Layer, L: Criterion, P: Optimizer> Trainer<Supervised<M, L>, P> {
    /// The model's output for samples (n, …), with the layers in evaluation mode, on the model's device; of a model with several
    /// outputs all of them, and several inputs are a tuple. It is computed in batches as large as those of the last
    /// [`Trainer::fit`] (32 before the first): beside the output, it needs the memory of one batch.
    ///
    /// A stateful layer goes on from one batch to the next; [`Trainer::predict_with`] makes all samples one batch.
    ///
    /// # Errors
    /// Inputs that do not fit the model.
    pub fn predict(&self, inputs: impl Into<Tensors>) -> Result<Tensors> {
        self.predict_with(inputs, EvaluateOptions::new())
    }

    /// As [`Trainer::predict`], in batches of another size.
    ///
    /// # Errors
    /// As [`Trainer::predict`], and batches of 0.
    pub fn predict_with(&self, inputs: impl Into<Tensors>, options: EvaluateOptions) -> Result<Tensors> {
        let batch_size = options.resolve("predict", self.batch_size)?;
        let (model, device) = (&self.objective.model, self.device());
        let batch = |part: &Tensors| {
            let inputs = part.try_map(|input| input.to_device(&device))?;
            let outputs = self.eval_ctx().run::<dyn AnyLayer>(model, inputs)?.into_parts();
            let outputs =
                outputs.into_iter().map(|output| Ok(output.var()?.into_tensor())).collect::<Result<Vec<_>>>()?;
            Tensors::of(outputs).ok_or_else(|| Error::value("predict", "the model has no output"))
        };
        device.session(|| in_batches(&inputs.into(), batch_size, batch))
    }

    /// The model alone.
    pub fn into_model(self) -> M {
        self.objective.model
    }
}

impl<O: Objective, P: Optimizer> Stateful for Trainer<O, P> {
    fn state_dict(&self) -> Result<StateDict> {
        let parts = [
            ("model", self.objective.state_dict()),
            ("optimizer", self.optimizer.state_dict()?),
            ("state", self.state.state_dict()?),
        ];
        let named = |(part, values): (&str, StateDict)| {
            values.into_iter().map(|(name, value)| (format!("{part}.{name}"), value)).collect::<Vec<_>>()
        };
        Ok(parts.into_iter().flat_map(named).collect())
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let (mut model, mut optimizer, mut counters) = (StateDict::new(), StateDict::new(), StateDict::new());
        for (name, value) in state {
            let (part, rest) = match name.split_once('.') {
                Some(("model", rest)) => (&mut model, rest),
                Some(("optimizer", rest)) => (&mut optimizer, rest),
                Some(("state", rest)) => (&mut counters, rest),
                _ => {
                    let message = format!("`{name}` is not the state of a trainer; nothing was changed");
                    return Err(Error::new(ErrorKind::Format, "trainer.load_state_dict", message));
                }
            };
            part.insert(rest.to_owned(), value.clone());
        }
        let mut new = TrainState { loss_scale: self.state.loss_scale.clone(), ..TrainState::default() };
        new.load_state_dict(&counters)?;
        let before = self.optimizer.state_dict()?;
        self.optimizer.load_state_dict(&optimizer)?;
        if let Err(error) = self.objective.load_state_dict(&model, true) {
            self.optimizer.load_state_dict(&before)?;
            return Err(error);
        }
        self.state = new;
        Ok(())
    }
}
