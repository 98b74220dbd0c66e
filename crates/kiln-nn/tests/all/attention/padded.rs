//! Padding has no positions: samples of several lengths go on as each does alone.

use super::{blocks, carrying, close, cpu, uniform};
use kiln_autograd::Var;
use kiln_nn::*;
use kiln_tensor::Tensor;

/// The outputs of row `row` at its real steps: of a prompt whose rows have so many real steps, then `more` steps one by one.
fn after_prompt(model: &Sequential, x: &Var, lengths: &[usize], left: bool, more: usize) -> Vec<Tensor> {
    model.reset_states();
    let (rows, steps) = (lengths.len(), lengths.iter().copied().max().unwrap());
    let counts = |row: usize, at: usize| if left { at >= steps - lengths[row] } else { at < lengths[row] };
    let mask: Vec<bool> = (0..rows * steps).map(|at| counts(at / steps, at % steps)).collect();
    let mask = Tensor::from_slice(&mask, [rows, steps], &cpu()).unwrap();
    let row = |of: &Var, row: usize, range: std::ops::Range<usize>| {
        of.slice(0, row..row + 1).unwrap().slice(1, range).unwrap()
    };
    // Each row's own steps, and fillers.
    let filler = Var::constant(Tensor::full([1, steps, 16], 0.7, x.dtype(), &cpu()).unwrap());
    let padded = |at: usize| {
        let (own, fill) = (row(x, at, 0..lengths[at]), filler.slice(1, 0..steps - lengths[at]).unwrap());
        Var::concat(&if left { [&fill, &own] } else { [&own, &fill] }, 1).unwrap()
    };
    let prompt: Vec<Var> = (0..rows).map(padded).collect();
    let prompt = Var::concat(&prompt.iter().collect::<Vec<_>>(), 0).unwrap();
    let y = model.forward(Sequence::new(prompt, mask), &carrying()).unwrap();
    let range = |at: usize| if left { steps - lengths[at]..steps } else { 0..lengths[at] };
    let mut outputs: Vec<Vec<Var>> = (0..rows).map(|at| vec![row(&y, at, range(at))]).collect();
    for step in 0..more {
        let next: Vec<Var> = (0..rows).map(|at| row(x, at, lengths[at] + step..lengths[at] + step + 1)).collect();
        let y = model.forward(Var::concat(&next.iter().collect::<Vec<_>>(), 0).unwrap(), &carrying()).unwrap();
        outputs.iter_mut().enumerate().for_each(|(at, outputs)| outputs.push(row(&y, at, 0..1)));
    }
    let joined = |row: Vec<Var>| Var::concat(&row.iter().collect::<Vec<_>>(), 1).unwrap().into_tensor();
    outputs.into_iter().map(joined).collect()
}

#[test]
fn padded_prompts_go_on_as_each_does_alone() {
    let attention = || MultiHeadAttention::new(2);
    let (lengths, more) = ([5, 2, 3], 6);
    let x = uniform(&[3, 5 + more, 16], 0);
    let model = |layers: Sequential| layers.build([5, 16], &cpu(), 1).unwrap();
    let of = |attention| model(Sequential::new().push(blocks(attention)));
    let learned = Sequential::new().push(PositionEmbedding::new(5 + more)).push(blocks(attention()));
    let sinusoidal = Sequential::new().push(SinusoidalPositions::new()).push(blocks(attention()));
    for (what, model) in [
        ("learned", model(learned)),
        ("sinusoidal", model(sinusoidal)),
        ("rotary", of(attention().rotary(Rotary::new()))),
        ("window", of(attention().window(3))),
        ("window of 1", of(attention().window(1))),
        ("ALiBi", of(attention().alibi(true))),
        ("rotary, window", of(attention().window(4).rotary(Rotary::new().interleaved(true)))),
        ("ALiBi, window", of(attention().window(2).alibi(true))),
    ] {
        for left in [false, true] {
            let together = after_prompt(&model, &x, &lengths, left, more);
            for (row, found) in together.iter().enumerate() {
                model.reset_states();
                let alone = x.slice(0, row..row + 1).unwrap().slice(1, 0..lengths[row] + more).unwrap();
                let alone = model.forward(&alone, &Ctx::eval()).unwrap();
                close(&format!("{what}, left {left}, row {row}"), found, alone.tensor(), 3e-6);
            }
        }
    }
}

/// Prompts, then answers of several lengths: fillers lie between steps that count.
#[test]
fn fillers_between_steps_do_not_count() {
    for attention in [
        MultiHeadAttention::new(2).rotary(Rotary::new()),
        MultiHeadAttention::new(2).window(3).rotary(Rotary::new()),
        MultiHeadAttention::new(2).alibi(true),
    ] {
        let blocks = blocks(attention);
        let model = Sequential::new().push(PositionEmbedding::new(7)).push(blocks.clone());
        let model = model.build([4, 16], &cpu(), 1).unwrap();
        let x = uniform(&[2, 12, 16], 0);
        let counted = [vec![0, 1, 3, 4, 8, 9, 11], vec![0, 1, 2, 3, 6, 7, 11]];
        let mask: Vec<bool> = (0..24).map(|at| counted[at / 12].contains(&(at % 12))).collect();
        let mask = Tensor::from_slice(&mask, [2, 12], &cpu()).unwrap();
        let run = |range: std::ops::Range<usize>| {
            let part = Sequence::new(x.slice(1, range.clone()).unwrap(), mask.slice(1, range).unwrap());
            model.forward(part, &carrying()).unwrap()
        };
        let parts = [run(0..4), run(4..8), run(8..12)];
        let found = Var::concat(&parts.iter().collect::<Vec<_>>(), 1).unwrap();
        let whole = model.forward(Sequence::new(x.clone(), mask.clone()), &Ctx::eval());
        assert!(whole.is_err(), "12 steps are more than 7 positions");
        for (row, counted) in counted.iter().enumerate() {
            let index: Vec<i64> = counted.iter().map(|&at| at as i64).collect();
            let index = Tensor::from_slice(&index, [index.len()], &cpu()).unwrap();
            let own = |of: &Var| of.slice(0, row..row + 1).unwrap().index_select(1, &index).unwrap();
            let alone = model.forward(own(&x), &Ctx::eval()).unwrap();
            close("row", own(&found).tensor(), alone.tensor(), 3e-6);
            // In one pass of blocks, which have no longest context, too.
            let together = blocks.forward(Sequence::new(x.clone(), mask.clone()), &Ctx::eval()).unwrap().values;
            let alone = blocks.forward(own(&x).into(), &Ctx::eval()).unwrap().values;
            close("one pass", own(&together).tensor(), alone.tensor(), 3e-6);
        }
        model.reset_states();
    }
}
