//! Products.

use super::case::Case;
use super::{Answer, one};

pub(super) fn run(case: &Case) -> Answer {
    let x = case.arg(0, "").optional()?;
    one(match case.name.as_str() {
        "matmul" | "mm" | "bmm" | "mv" | "dot" => x.matmul(case.at(1).var()),
        "nn.functional.linear" => x.linear(case.at(1).var(), case.at(2).optional(), None),
        _ => return None,
    })
}
