//! Products.

use super::case::Case;
use super::{Answer, one};
use kiln::autograd::Var;

pub(super) fn run(case: &Case) -> Answer {
    if case.name == "einsum" {
        return one(Var::einsum(case.at(1).text()?, &case.at(0).vars()));
    }
    let x = case.arg(0, "").optional()?;
    one(match case.name.as_str() {
        "bmm" => x.bmm(case.at(1).var()),
        "dot" => x.dot(case.at(1).var()),
        "matmul" => x.matmul(case.at(1).var()),
        "mm" => x.mm(case.at(1).var()),
        "mv" => x.mv(case.at(1).var()),
        "nn.functional.linear" => x.linear(case.at(1).var(), case.at(2).optional(), None),
        "outer" => x.outer(case.at(1).var()),
        _ => return None,
    })
}
