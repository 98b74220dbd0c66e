//! Optimizer steps over a model of many small tensors and over one large tensor.

// Fixed sizes fit, and criterion's macros write functions without documentation.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kiln::prelude::*;
use kiln_benches::in_team;

#[derive(Module)]
struct Parameters {
    parameters: Vec<Param>,
}

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("optim");
    for (tensors, elements) in [(100, 1000), (1, 4 << 20)] {
        let filled = |value| Tensor::full([elements], value, DType::F32, &Device::cpu()).unwrap();
        let mut model = Parameters { parameters: (0..tensors).map(|_| Param::new(filled(1.0))).collect() };
        let mut gradients = Gradients::default();
        for parameter in &model.parameters {
            gradients.insert(parameter.id(), filled(0.01));
        }
        let optimizers: [(&str, Box<dyn Optimizer>); 3] = [
            ("Sgd", Box::new(Sgd::new(1e-3))),
            ("Sgd with momentum", Box::new(Sgd::new(1e-3).momentum(0.9))),
            ("Adam", Box::new(Adam::new(1e-3))),
        ];
        group.throughput(Throughput::Elements((tensors * elements) as u64));
        for (name, mut optimizer) in optimizers {
            group.bench_function(BenchmarkId::new(name, format!("{tensors} of {elements}")), |bench| {
                bench.iter_custom(|times| in_team(times, || optimizer.step(&mut model, &gradients).unwrap()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
