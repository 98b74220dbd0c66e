//! A DCGAN for digits, with a loop by hand and two optimizers, drawn.
//!
//! ```sh
//! cargo run --release -p kiln --example gan            # on the subset inside of Kiln (feature embedded-mnist)
//! cargo run --release -p kiln --example gan -- DIR     # on DIR/mnist/*-ubyte[.gz]
//! ```
//!
//! The same in PyTorch: listings/gan.py. The command's recipe `mnist-gan` trains such a pair by `fit`.

mod grid;

use kiln::models::dcgan::Dcgan;
use kiln::prelude::*;

const SEED: u64 = 0;
const LATENT: usize = 64;

/// Normal numbers that `count` images are made of.
fn noise(count: usize, stream: RandomStream) -> Result<Tensor> {
    Tensor::normal([count, LATENT, 1, 1], 0.0, 1.0, DType::F32, &Device::cpu(), stream)
}

fn train(g: &mut Sequential, d: &mut Sequential, images: &dyn Dataset, epochs: u64) -> Result<()> {
    let adam = || Adam::new(0.0005).betas(0.5, 0.999);
    let (mut g_optimizer, mut d_optimizer) = (adam(), adam());
    let loss_fn = BinaryCrossentropy::from_logits();
    let loader = Loader::new(images).batch_size(64).shuffle(SEED);
    let mut step = 0;
    Device::cpu().session(|| {
        for epoch in 1..=epochs {
            let (mut d_total, mut g_total) = (0.0, 0.0);
            loader.epoch(epoch, |batches| {
                for batch in batches {
                    let batch = batch?;
                    let real = batch.inputs.reshape([batch.len(), 1, 28, 28])?;
                    let ones = Tensor::ones([batch.len(), 1], DType::F32, &Device::cpu())?;
                    let zeros = ones.zeros_like()?;
                    let (g_tape, d_tape) = (Ctx::train(SEED, step), Ctx::train(SEED, step));
                    let fake = g.forward(noise(batch.len(), g_tape.stream(Purpose::Data))?, &g_tape)?;

                    // The discriminator: real images are 1, those of the generator 0.
                    let of_real = loss_fn.forward(&d.forward(real, &d_tape)?, &ones)?;
                    let of_fake = loss_fn.forward(&d.forward(fake.detach(), &d_tape)?, &zeros)?;
                    let d_loss = of_real.add(&of_fake)?;
                    d_total += d_loss.item()?;
                    d_optimizer.step(d, &d_loss.backward()?)?;
                    d_tape.commit(d)?;

                    // The generator: its images are to be taken for real ones, by a discriminator that stays as it is.
                    let fixed = Ctx::train(SEED, step).recording(false);
                    let g_loss = loss_fn.forward(&d.forward(fake, &fixed)?, &ones)?;
                    g_total += g_loss.item()?;
                    g_optimizer.step(g, &g_loss.backward()?)?;
                    g_tape.commit(g)?;
                    step += 1;
                }
                Ok(())
            })?;
            let batches = loader.batches() as f64;
            println!("epoch {epoch}  discriminator {:.4}  generator {:.4}", d_total / batches, g_total / batches);
        }
        Ok(())
    })
}

/// The generator and the discriminator before any training; their largest maps have `width` channels.
fn models(width: usize) -> Result<(Sequential, Sequential)> {
    let dcgan = Dcgan::new().side(28).channels(1).width(width).latent(LATENT);
    let generator = dcgan.generator().build([LATENT, 1, 1], &Device::cpu(), SEED)?;
    Ok((generator, dcgan.discriminator().build([1, 28, 28], &Device::cpu(), SEED + 1)?))
}

/// Images that the generator makes, from 0 to 1.
fn made(generator: &Sequential, count: usize) -> Result<Tensor> {
    let images = generator.forward(noise(count, RandomStream::new(SEED, Purpose::Data, 0))?, &Ctx::eval())?;
    images.into_tensor().affine(0.5, 0.5)?.reshape([count, 28, 28])
}

fn main() -> Result<()> {
    let data = std::env::args_os().nth(1).map_or_else(Mnist::embedded, Mnist::load)?;
    let images = data.train.normalized(2.0 / 255.0, -1.0); // from −1 to 1, as the generator's are
    let (mut generator, mut discriminator) = models(32)?;
    train(&mut generator, &mut discriminator, &images, 10)?;
    grid::draw("gan.png", &made(&generator, 96)?.split(0, 12)?)?;
    println!("drawn to gan.png");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_get_strokes() {
        let images = Mnist::embedded().unwrap().train.limit(1600).normalized(2.0 / 255.0, -1.0);
        let (mut generator, mut discriminator) = models(8).unwrap();
        let contrast = |generator: &Sequential| made(generator, 64).unwrap().std([0, 1, 2], 0).unwrap().item().unwrap();
        let before = contrast(&generator);
        train(&mut generator, &mut discriminator, &images, 2).unwrap();
        let after = contrast(&generator);
        assert!(before < 0.01 && after > 0.03, "{before}, then {after}");
    }
}
