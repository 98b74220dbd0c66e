//! The tasks, each entered here once: `kiln-bench` runs them, and `cargo xtask bench` reads this file too.

/// Calls `$callback! { { "documentation", Name, file, run, [peers' scripts] } … }` with the tasks. The scripts are in benches/peers; what
/// follows the last `_` of a script's name is the framework.
macro_rules! for_each_task {
    ($callback:ident) => {
        $callback! {
            {
                "The MNIST listing trained on the whole data set, with an evaluation after each epoch",
                MnistMlp, mnist, |at| mnist::fit(&at.data, &at.device, at.epochs, at.seed),
                ["mnist_torch.py", "mnist_keras.py"]
            }
            { "Matrix products by shape, GFLOP/s", Gemm, gemm, |at| gemm::rates(&at.device), ["gemm_torch.py"] }
            {
                "A training step of the AlexNet listing, batch 64", AlexnetStep, alexnet, |at| alexnet::step(&at.device),
                ["alexnet_torch.py", "alexnet_keras.py"]
            }
            {
                "Convolutions and their gradients one by one, milliseconds", Conv, conv, |at| conv::all(&at.device),
                ["conv_torch.py"]
            }
            {
                "What a checkpoint of the AlexNet listing costs the training loop, milliseconds", Checkpoint, checkpoint,
                |at| checkpoint::costs(&at.device), []
            }
            { "One step of Adam over 21.65 M parameters", Adam, adam, |at| adam::step(&at.device), ["adam_torch.py"] }
            {
                "One step of each optimizer over tensors of three sizes, milliseconds", Optimizers, optimizers,
                |at| optimizers::steps(&at.device), ["optimizers_torch.py"]
            }
            {
                "What a small operation costs, and a loop by hand beside `fit`",
                Overhead, overhead, |at| overhead::costs(&at.data, &at.device), ["overhead_torch.py"]
            }
            {
                "The AlexNet listing's augmentation of CIFAR-10's images, images a second",
                Augment, augment, |_| augment::rates(), ["augment_keras.py"]
            }
            {
                "JPEG and PNG files decoded and resized by two workers, images a second",
                Images, images, |_| images::rates(), ["images_torch.py"]
            }
            {
                "One training step of recurrent layers by size, ms", Rnn, rnn, |at| rnn::steps(&at.device), ["rnn_torch.py"]
            }
            {
                "Single layers forward and backward, milliseconds", Layers, layers, |at| layers::times(&at.device), ["layers_torch.py"]
            }
            {
                "Attention forward and backward by shape, milliseconds", Attention, attention, |at| attention::times(&at.device),
                ["attention_torch.py", "attention_jax.py"]
            }
            {
                "A training step of a GPT of 10.7 M parameters, batch 12, context 256", Transformer, transformer,
                |at| transformer::step(&at.device), ["transformer_torch.py"]
            }
            {
                "Training steps in f32 and bf16, and operations of half types, milliseconds", Mixed, mixed, |at| mixed::all(&at.device),
                ["mixed_torch.py"]
            }
            {
                "Decoding with GPT-2 small, batch 1, tokens a second", Generation, generation, |at| generation::rate(&at.device),
                ["generation_torch.py"]
            }
            {
                "Networks compiled for inference, milliseconds by network and batch", Inference, inference,
                |at| inference::all(&at.device), ["inference_torch.py", "inference_ort.py"]
            }
            {
                "Peak memory of the loss over a vocabulary of 50,257, beside the composed form, MB", Vocabulary, vocabulary,
                |at| vocabulary::peaks(&at.device, at.part.as_deref()), []
            }
            {
                "Operations of tensors, 16 M elements of f32, milliseconds", Tensor, tensor, |at| tensor::times(&at.device),
                ["tensor_torch.py", "tensor_numpy.py"]
            }
        }
    };
}
