//! Training on a GPU, or on the simulator, is training on the CPU.

use kiln::prelude::*;
use kiln::tensor::Element;

/// Points in a square, in three stripes.
fn data(samples: usize, index: u64) -> TensorDataset {
    let stream = RandomStream::new(1, Purpose::Data, index);
    let points = Tensor::uniform([samples, 2], -1.0, 1.0, DType::F32, &Device::cpu(), stream).unwrap();
    let stripe = |x: &[f32]| i64::from(x[0] + x[1] > -0.4) + i64::from(x[0] + x[1] > 0.4);
    let labels: Vec<i64> = points.to_vec::<f32>().unwrap().chunks(2).map(stripe).collect();
    TensorDataset::new(points, Tensor::from_slice(&labels, [samples], &Device::cpu()).unwrap()).unwrap()
}

/// What a run reports, and the weights it leaves.
fn train(device: &Device, optimizer: impl Optimizer) -> (Vec<f64>, Vec<f64>) {
    let model = Sequential::new()
        .push(Dense::new(16).activation(Activation::Relu))
        .push(Dropout::new(0.2))
        .push(Dense::new(3).activation(Activation::Softmax))
        .build([2], device, 7)
        .unwrap();
    let mut trainer = compile(model, optimizer, SparseCategoricalCrossentropy::new()).metric(Accuracy);
    let (train, test) = (data(96, 1), data(50, 2));
    let history = trainer.fit(&train, FitOptions::new().epochs(3).batch_size(16).seed(3).validation(&test)).unwrap();
    let numbers = history.epochs.iter().flat_map(|epoch| {
        let validation = epoch.validation.as_ref().unwrap();
        [epoch.train.loss, epoch.train.accuracy(), validation.loss, validation.accuracy()]
    });
    let weights = trainer.objective.parameters().into_iter().flat_map(|(_, parameter)| {
        parameter.value().to_vec::<f32>().unwrap().into_iter().map(Element::to_f64).collect::<Vec<_>>()
    });
    (numbers.collect(), weights.collect())
}

fn close(what: &str, gpu: &[f64], cpu: &[f64]) {
    assert_eq!(gpu.len(), cpu.len());
    for (g, c) in gpu.iter().zip(cpu) {
        assert!((g - c).abs() <= 1e-5 * c.abs().max(1.0), "{what}: {g}, on the CPU {c}");
    }
}

/// Trains with each optimizer on a device and on the CPU.
fn optimizers_train_alike(device: &str) {
    let both = |name: &str, optimizer: &dyn Fn() -> Box<dyn Optimizer>| {
        let cpu = train(&Device::cpu(), optimizer());
        let gpu = train(&kiln::device(device).unwrap(), optimizer());
        close(&format!("{name}: reports"), &gpu.0, &cpu.0);
        close(&format!("{name}: weights"), &gpu.1, &cpu.1);
    };
    both("adam", &|| Box::new(Adam::new(0.01)));
    both("adamw", &|| Box::new(AdamW::new(0.01)));
    both("rmsprop", &|| Box::new(RmsProp::new(0.001).momentum(0.9).centered(true)));
    both("sgd", &|| Box::new(Sgd::new(0.1).momentum(0.9).nesterov(true)));
}

#[test]
#[cfg(feature = "sim")]
fn on_the_simulator() {
    optimizers_train_alike("sim");
}

#[test]
#[cfg(feature = "cuda")]
#[ignore = "needs an NVIDIA card"]
fn on_a_card() {
    optimizers_train_alike("cuda");
}
