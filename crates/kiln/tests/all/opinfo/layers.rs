//! Convolutions, pooling, normalization, embeddings.

use super::case::{Arg, Case};
use super::{Answer, one};
use kiln::prelude::*;
use kiln::tensor::{ConvOptions, PerAxis, PoolOptions};

/// A number for all axes or one for each.
fn per_axis(given: &Arg) -> Option<PerAxis> {
    Some(match given.sizes()?[..] {
        [all] => all.into(),
        [a, b] => [a, b].into(),
        [a, b, c] => [a, b, c].into(),
        _ => return None,
    })
}

/// The same elements on both sides, or a word.
fn padding(given: &Arg) -> Padding {
    let both = |size: usize| (size, size);
    match given.text() {
        Some("same") => Padding::Same,
        Some(_) => Padding::Valid,
        None => match given.sizes().as_deref() {
            Some(&[all]) => Padding::from(all),
            Some(&[a, b]) => Padding::from([both(a), both(b)]),
            _ => Padding::Valid,
        },
    }
}

pub(super) fn run(case: &Case) -> Answer {
    case.arg(0, "").optional()?;
    convolutions(case).or_else(|| pools(case)).or_else(|| norms(case))
}

fn convolutions(case: &Case) -> Answer {
    let x = case.x();
    let mut options = ConvOptions::new().groups(case.named("groups").int(1) as usize);
    if let Some(stride) = per_axis(case.named("stride")) {
        options = options.stride(stride);
    }
    if let Some(dilation) = per_axis(case.named("dilation")) {
        options = options.dilation(dilation);
    }
    options = options.padding(padding(case.named("padding")));
    if let Some(more) = per_axis(case.named("output_padding")) {
        options = options.output_padding(more);
    }
    let (weight, bias) = (case.at(1).optional(), case.at(2).optional());
    one(match case.name.as_str() {
        "nn.functional.conv1d" | "nn.functional.conv2d" => x.conv(weight?, bias, &options, None),
        "nn.functional.conv_transpose2d" => x.conv_transpose(weight?, bias, &options),
        _ => return None,
    })
}

fn pools(case: &Case) -> Answer {
    let x = case.x();
    let averages = case.name.starts_with("nn.functional.avg_pool");
    if case.name == "nn.functional.adaptive_avg_pool2d" {
        let spatial = &x.dims()[x.shape().rank() - 2..];
        let to: Vec<usize> = match case.at(1) {
            Arg::List(list) => list.iter().zip(spatial).map(|(to, &size)| to.int(size as isize) as usize).collect(),
            all => vec![all.int(1) as usize; 2],
        };
        return one(x.adaptive_avg_pool([to[0], to[1]]));
    }
    if !averages && !case.name.starts_with("nn.functional.max_pool") {
        return None;
    }
    let mut options = PoolOptions::new(per_axis(case.arg(1, "kernel_size"))?);
    if let Some(stride) = per_axis(case.arg(2, "stride")) {
        options = options.stride(stride);
    }
    options = options.padding(padding(case.arg(3, "padding")));
    if averages {
        options = options.ceil(case.arg(4, "ceil_mode").flag(false));
        return one(x.avg_pool(&options.count_include_pad(case.arg(5, "count_include_pad").flag(true))));
    }
    if let Some(dilation) = per_axis(case.named("dilation")) {
        options = options.dilation(dilation);
    }
    options = options.ceil(case.named("ceil_mode").flag(false));
    let y = x.max_pool(&options);
    if !case.named("return_indices").flag(false) {
        return one(y);
    }
    // PyTorch counts from the start of a plane, these from the start of all.
    let plane = x.dims()[2..].iter().product::<usize>() as i64;
    let places = |y: &Var| {
        let flat = x.tensor().max_pool_with_taps(&options)?.1.flat_positions()?.to_vec::<i64>()?;
        let places = flat.into_iter().map(|at| at % plane).collect();
        Tensor::from_vec(places, *y.shape(), x.device()).map(Var::constant)
    };
    Some(y.and_then(|y| Ok(vec![y.clone(), places(&y)?])))
}

fn norms(case: &Case) -> Answer {
    let x = case.x();
    let epsilon = case.named("eps").number(1e-5);
    let [weight, bias] = ["weight", "bias"].map(|name| case.named(name).optional());
    let rank = || case.at(1).list().len();
    one(match case.name.as_str() {
        "nn.functional.layer_norm" => x.layer_norm(rank(), case.at(2).optional(), case.at(3).optional(), epsilon),
        "nn.functional.rms_norm" => x.rms_norm(rank(), case.at(2).optional(), case.named("eps").number(f64::EPSILON)),
        "nn.functional.group_norm" => x.group_norm(case.at(1).int(1) as usize, weight, bias, epsilon),
        "nn.functional.instance_norm" => x.instance_norm(weight, bias, epsilon),
        "nn.functional.local_response_norm" => x.local_response_norm(
            case.at(1).int(1) as usize,
            case.named("alpha").number(1e-4),
            case.named("beta").number(0.75),
            case.named("k").number(1.0),
        ),
        "nn.functional.batch_norm" => {
            let (weight, bias) = (case.at(3).optional(), case.at(4).optional());
            if case.named("training").flag(false) {
                x.batch_norm(weight, bias, epsilon, None).map(|(y, _)| y)
            } else {
                let moments = Tensor::stack(&[case.at(1).var().tensor(), case.at(2).var().tensor()], 0);
                moments.and_then(|moments| x.batch_norm_with(&moments, weight, bias, epsilon, None))
            }
        }
        _ => return None,
    })
}
