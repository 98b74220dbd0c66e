//! `Callback`: hooks into training.

use crate::{EpochRecord, Evaluation, Run, Scalar};
use kiln_nn::{StateDict, Stateful};
use kiln_tensor::{Error, Result};

/// Hooks that `fit` calls, all with a view of the run ([`Run`]): the model, the optimizer, the state, and a switch that ends the
/// training ([`Run::stop`]). None has to be written. What belongs to `fit` itself, such as the progress bar, is a callback too.
///
/// Several callbacks are called in their order. An error of one ends the training at once.
///
/// ```
/// use kiln_tensor::Result;
/// use kiln_train::{Callback, Run};
///
/// /// Divides the learning rate by 10 after 30 epochs.
/// struct Drop;
///
/// impl Callback for Drop {
///     fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
///         if run.state.epoch == 30 {
///             run.optimizer.set_learning_rate(run.optimizer.learning_rate() / 10.0);
///         }
///         Ok(())
///     }
/// }
/// ```
#[allow(unused_variables)]
pub trait Callback: Send {
    /// Before the first epoch.
    ///
    /// # Errors
    /// Settings that make no sense here; nothing has been trained then.
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// Before an epoch, also before the rest of one that was left.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// Before the forward pass; the batch is [`Run::batch`] and can be changed.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_batch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// Before the optimizer changes the parameters; their gradients are [`Run::gradients`] and can be changed. After an error the
    /// step is not made.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_step_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// After the optimizer has changed the parameters.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// After a batch, with its step where it had one.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// Before the validation.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_validation_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// After a batch of the validation. [`Run::stop`] leaves the others out.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_validation_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// After a validation that was finished, with what it came to.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_validation_end(&mut self, run: &mut Run<'_>, evaluation: &Evaluation) -> Result<()> {
        Ok(())
    }

    /// After an epoch with its validation, with what it reported. An epoch that was left ([`Run::stop`]) reports what it came to.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        Ok(())
    }

    /// After the last epoch, stopped or not.
    ///
    /// # Errors
    /// Whatever is to be reported as a failure.
    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// After the training has failed, with the error: of a callback, of data that cannot be read, of a loss that is not finite
    /// (`ErrorKind::Diverged`; the weights are those of the last completed epoch again).
    ///
    /// # Errors
    /// Whatever is to be reported beside the failure.
    fn on_failure(&mut self, run: &mut Run<'_>, error: &Error) -> Result<()> {
        Ok(())
    }

    /// Receives the numbers that callbacks reported with [`Run::log`], right after the hook that reported them. The step is
    /// `run.state.step`.
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_log(&mut self, run: &mut Run<'_>, scalars: &[Scalar]) -> Result<()> {
        Ok(())
    }

    /// Receives the state of the training after a callback called [`Run::request_checkpoint`].
    ///
    /// # Errors
    /// Whatever ends the training as a failure.
    fn on_checkpoint(&mut self, run: &mut Run<'_>, state: &StateDict) -> Result<()> {
        Ok(())
    }

    /// The callback's state, under a name. Checkpoints save it, and a resumed `fit` loads it before
    /// [`on_fit_begin`](Callback::on_fit_begin). A callback without state returns `None`.
    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        None
    }
}

macro_rules! borrowed {
    ($($hook:ident($($argument:ident: $type:ty),*);)+) => {
        /// Borrowed, so that you can inspect it after `fit`: `.callback(&mut stopping)`.
        impl<C: Callback + ?Sized> Callback for &mut C {
            $(fn $hook(&mut self, run: &mut Run<'_>, $($argument: $type),*) -> Result<()> {
                (**self).$hook(run, $($argument),*)
            })+
            fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
                (**self).state()
            }
        }
    };
}
borrowed! {
    on_fit_begin();
    on_epoch_begin();
    on_batch_begin();
    on_step_begin();
    on_step_end();
    on_batch_end();
    on_validation_begin();
    on_validation_batch_end();
    on_validation_end(evaluation: &Evaluation);
    on_epoch_end(record: &EpochRecord);
    on_fit_end();
    on_failure(error: &Error);
    on_log(scalars: &[Scalar]);
    on_checkpoint(state: &StateDict);
}
