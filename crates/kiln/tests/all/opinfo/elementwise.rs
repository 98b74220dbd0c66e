//! Operations on each element.

use super::case::Case;
use super::{Answer, one};
use kiln::autograd::Var;

pub(super) fn run(case: &Case) -> Answer {
    case.arg(0, "").optional()?;
    unary(case.x(), &case.name).or_else(|| binary(case)).or_else(|| of_numbers(case))
}

fn unary(x: &Var, name: &str) -> Answer {
    one(match name {
        "abs" => x.abs(),
        "acos" => x.acos(),
        "asin" => x.asin(),
        "atan" => x.atan(),
        "log10" => x.log10(),
        "log2" => x.log2(),
        "trunc" => x.trunc(),
        "ceil" => x.ceil(),
        "cos" => x.cos(),
        "cosh" => x.cosh(),
        "erf" => x.erf(),
        "exp" => x.exp(),
        "exp2" => x.exp2(),
        "expm1" => x.expm1(),
        "floor" => x.floor(),
        "log" => x.ln(),
        "log1p" => x.ln_1p(),
        "neg" => x.neg(),
        "nn.functional.hardsigmoid" => x.hard_sigmoid(),
        "nn.functional.hardswish" => x.hard_swish(),
        "nn.functional.logsigmoid" => x.log_sigmoid(),
        "nn.functional.mish" => x.mish(),
        "nn.functional.relu" => x.relu(),
        "nn.functional.relu6" => x.relu6(),
        "nn.functional.selu" => x.selu(),
        "nn.functional.silu" => x.silu(),
        "nn.functional.softsign" => x.softsign(),
        "reciprocal" => x.recip(),
        "round" => x.round(),
        "rsqrt" => x.rsqrt(),
        "sigmoid" => x.sigmoid(),
        "sign" => x.sign(),
        "sin" => x.sin(),
        "sinh" => x.sinh(),
        "sqrt" => x.sqrt(),
        "square" => x.square(),
        "tan" => x.tan(),
        "tanh" => x.tanh(),
        _ => return None,
    })
}

fn binary(case: &Case) -> Answer {
    let (x, other) = (case.x(), case.arg(1, "other").optional()?);
    one(match case.name.as_str() {
        "add" => other.mul_scalar(case.named("alpha").number(1.0)).and_then(|other| x.add(&other)),
        "sub" => other.mul_scalar(case.named("alpha").number(1.0)).and_then(|other| x.sub(&other)),
        "mul" => x.mul(other),
        "atan2" => x.atan2(other),
        "div|no_rounding_mode" => x.div(other),
        "div|floor_rounding" => x.floor_div(other),
        "div|trunc_rounding" => x.div(other).and_then(|y| y.trunc()),
        "fmod" => x.fmod(other),
        "hypot" => x.hypot(other),
        "logaddexp" => x.logaddexp(other),
        "remainder" => x.remainder(other),
        "max|binary" | "maximum" => x.maximum(other),
        "min|binary" | "minimum" => x.minimum(other),
        "pow" => x.pow(other),
        _ => return None,
    })
}

fn of_numbers(case: &Case) -> Answer {
    let x = case.x();
    one(match case.name.as_str() {
        "nn.functional.celu" => x.celu(case.arg(1, "alpha").number(1.0)),
        "nn.functional.elu" => x.elu(case.arg(1, "alpha").number(1.0)),
        "nn.functional.gelu" if case.named("approximate").text() == Some("tanh") => x.gelu_tanh(),
        "nn.functional.gelu" => x.gelu(),
        "clamp" => x.clamp_tensors(case.arg(1, "min").optional(), case.arg(2, "max").optional()),
        "isfinite" => x.isfinite().map(Var::constant),
        "isnan" => x.isnan().map(Var::constant),
        "lerp" => match case.at(2).optional() {
            Some(weight) => x.lerp_tensor(case.at(1).var(), weight),
            None => x.lerp(case.at(1).var(), case.at(2).number(0.0)),
        },
        "nn.functional.glu" => x.glu(case.arg(1, "dim").int(-1)),
        "nn.functional.prelu" => x.prelu(case.arg(1, "weight").var()),
        "nn.functional.hardshrink" => x.hard_shrink(case.arg(1, "lambd").number(0.5)),
        "nn.functional.hardtanh" => x.clamp(case.named("min_val").number(-1.0), case.named("max_val").number(1.0)),
        "nn.functional.softplus" => {
            x.softplus_with(case.named("beta").number(1.0), case.named("threshold").number(20.0))
        }
        "round|decimals_0" | "round|decimals_3" | "round|decimals_neg_3" => {
            x.round_to(case.named("decimals").number(0.0))
        }
        "nn.functional.leaky_relu" => x.leaky_relu(case.arg(1, "negative_slope").number(0.01)),
        _ => return None,
    })
}
