//! Steps of several batches: the gradients are those of one large batch.

use kiln_datasets::{Dataset, SequenceDataset, TensorDataset};
use kiln_math::{Purpose, RandomStream};
use kiln_nn::*;
use kiln_optim::{Optimizer, Sgd, StepDecay};
use kiln_tensor::{DType, Device, Tensor};
use kiln_train::*;

/// Steps, weights and the epochs' losses of a training in the data's order.
struct Trained(u64, Vec<f64>, Vec<f64>);

impl Trained {
    fn expect_same(&self, other: &Trained) {
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs()));
        assert_eq!(self.0, other.0);
        assert!(self.1.len() == other.1.len() && close(&self.1, &other.1), "{:?} {:?}", self.1, other.1);
    }
}

fn trained(
    model: Sequential,
    sample: impl kiln_tensor::IntoShape,
    loss: impl Loss + 'static,
    data: &dyn Dataset,
    options: FitOptions<'_>,
) -> Trained {
    let model = model.build_with(sample, &mut Init::new(1, &Device::cpu()).dtype(DType::F64)).unwrap();
    let optimizer = Sgd::new(0.1).momentum(0.9).schedule(StepDecay::new(2, 0.5));
    let mut trainer = compile(model, optimizer, loss);
    let history = trainer.fit(data, options.epochs(3).shuffle(false)).unwrap();
    let weights = trainer.objective.state_dict().values().flat_map(|v| v.to_f64_vec().unwrap()).collect();
    Trained(trainer.steps(), weights, history.epochs.iter().map(|epoch| epoch.train.loss).collect())
}

#[test]
fn batches_of_different_sizes_are_one_batch() {
    let numbers = |columns, at| {
        let stream = RandomStream::new(3, Purpose::Data, at);
        Tensor::uniform([10, columns], -1.0, 1.0, DType::F64, &Device::cpu(), stream).unwrap()
    };
    let data = TensorDataset::new(numbers(3, 0), numbers(2, 1)).unwrap();
    // A penalty does not depend on the size of a batch.
    let model = || Sequential::new().push(Dense::new(2).kernel_regularizer(L2(0.1)));
    let run = |options| trained(model(), [3], MeanSquaredError::new(), &data, options);
    let whole = run(FitOptions::new().batch_size(10));
    assert_eq!(whole.0, 3);
    whole.expect_same(&run(FitOptions::new().batch_size(4).accumulate(3)));
    whole.expect_same(&run(FitOptions::new().batch_size(5).accumulate(2)));
    whole.expect_same(&run(FitOptions::new().batch_size(1).accumulate(100)));
    // The last step of an epoch is of what is left: 4 + 4 and 2.
    let rest = run(FitOptions::new().batch_size(4).accumulate(2));
    assert_eq!(rest.0, 6);
    rest.expect_same(&run(FitOptions::new().batch_size(8)));
}

#[test]
fn batches_weigh_as_much_as_counts_in_them() {
    let tokens = vec![vec![1, 2, 3, 4, 5], vec![4], vec![5, 6, 1, 2], vec![3, 3]];
    let labels = vec![vec![2, 3, 4, 5, 6], vec![5], vec![6, 0, 2, 3], vec![6, 6]];
    let data = SequenceDataset::of_tokens(tokens, 7).unwrap().labels_of_steps(labels).unwrap();
    let model = || Sequential::new().push(Embedding::new(8, 3)).push(Dense::new(7));
    let run = |loss: SparseCategoricalCrossentropy, options| trained(model(), [5], loss, &data, options);
    let plain = SparseCategoricalCrossentropy::from_logits;
    run(plain(), FitOptions::new().batch_size(4))
        .expect_same(&run(plain(), FitOptions::new().batch_size(1).accumulate(4)));
    // In the last batch nothing counts; in the second, one target of a class that counts three times.
    let ignoring = || SparseCategoricalCrossentropy::from_logits().ignore_index(6);
    let weighted = |size, batches| {
        let options = FitOptions::new().batch_size(size).accumulate(batches).class_weight(&[(5, 3.0)]);
        run(ignoring(), options)
    };
    let (whole, parts) = (weighted(4, 1), weighted(1, 4));
    whole.expect_same(&parts);
    assert!((whole.2[0] - parts.2[0]).abs() < 1e-12, "{} {}", whole.2[0], parts.2[0]);
}

#[test]
fn a_fit_with_checkpoints_has_the_same_bits() {
    let data =
        SequenceDataset::of_tokens((0..9).map(|i| (0..5).map(|j| (i * j + 1) % 7).collect()).collect(), 7).unwrap();
    let data = data.labels((0..9).map(|i| i % 2).collect()).unwrap();
    let run = |every: Option<usize>| {
        let model = Sequential::new()
            .push(Embedding::new(8, 4))
            .push(Gru::new(6).stateful(true))
            .push(BatchNorm1d::new())
            .push(Dropout::new(0.4))
            .push(Dense::new(2).kernel_regularizer(L2(0.01)));
        let model = every.into_iter().fold(model, Sequential::checkpoint_every);
        let options = FitOptions::new().batch_size(3).accumulate(2);
        trained(model, [5], SparseCategoricalCrossentropy::from_logits(), &data, options)
    };
    let (plain, kept) = (run(None), run(Some(2)));
    assert_eq!((plain.0, plain.1, plain.2), (kept.0, kept.1, kept.2));
}
