//! The tasks, each entered here once: `kiln-bench` runs them, and `cargo xtask bench` reads this file too.

/// Calls `$callback! { { "documentation", Name, file, run } … }` with the tasks.
macro_rules! for_each_task {
    ($callback:ident) => {
        $callback! {
            {
                "The MNIST listing trained on the whole data set, with an evaluation after each epoch",
                MnistMlp, mnist, |at| mnist::fit(&at.data, &at.device, at.epochs, at.seed)
            }
            { "Matrix products by shape, GFLOP/s", Gemm, gemm, |at| gemm::rates(&at.device) }
            { "A training step of the AlexNet listing, batch 64", AlexnetStep, alexnet, |at| alexnet::step(&at.device) }
            { "Convolutions and their gradients one by one, milliseconds", Conv, conv, |at| conv::all(&at.device) }
            { "One step of Adam over 21.65 M parameters", Adam, adam, |at| adam::step(&at.device) }
            {
                "What a small operation costs, and a loop by hand beside `fit`",
                Overhead, overhead, |at| overhead::costs(&at.data, &at.device)
            }
            { "The AlexNet listing's augmentation of CIFAR-10's images, images a second", Augment, augment, |_| augment::rates() }
            { "One training step of recurrent layers by size, ms", Rnn, rnn, |at| rnn::steps(&at.device) }
        }
    };
}
