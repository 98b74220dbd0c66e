//! Programs over `Tensor`: an operation on views gives what it gives on copies of them, bit for bit, or the same error; and
//! never writes into its operands.

use super::operations::{TENSOR_OPERATIONS, view};
use super::values::{DTYPES, expect_same, read};
use super::{LARGEST, LONGEST, POOL, Settings};
use crate::Target;
use crate::source::Source;
use kiln::tensor::Tensor;

pub(crate) const TENSOR: Target = Target { name: "tensor", run, seeds, words: &[] };

fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mut pool = vec![read(&mut source, &DTYPES, true)];
    for _ in 0..LONGEST {
        if source.is_empty() {
            break;
        }
        match source.below(8) {
            0 => pool.push(read(&mut source, &DTYPES, true)),
            1 | 2 => {
                let settings = Settings::read(&mut source);
                let at = source.below(pool.len());
                if let Ok(view) = view(source.byte(), &pool[at], &settings) {
                    pool.push(view);
                }
            }
            _ => operate(&mut source, &mut pool),
        }
        pool.retain(|value| value.elements() <= LARGEST);
        if pool.len() > POOL {
            pool.remove(0);
        }
        if pool.is_empty() {
            pool.push(read(&mut source, &DTYPES, true));
        }
    }
}

fn operate(source: &mut Source<'_>, pool: &mut Vec<Tensor>) {
    let (name, operation) = source.of(TENSOR_OPERATIONS);
    let settings = Settings::read(source);
    let chosen: Vec<Tensor> = (0..3).map(|_| pool[source.below(pool.len())].clone()).collect();
    let copies: Vec<Tensor> = chosen.iter().map(|value| value.copied().expect("a copy")).collect();
    let before: Vec<Tensor> = copies.iter().map(|value| value.copied().expect("a copy")).collect();
    let told = || {
        let shown: Vec<String> = before.iter().map(|value| format!("{} {:?}", value.dtype(), value.layout())).collect();
        let layouts: Vec<String> = chosen.iter().map(|value| format!("{:?}", value.layout())).collect();
        format!("{name} with {settings:?} of {shown:?}, as views {layouts:?}")
    };
    let (of_views, of_copies) = (operation(&chosen, &settings), operation(&copies, &settings));
    match (of_views, of_copies) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one.len(), other.len());
            for (one, other) in one.iter().zip(&other) {
                expect_same(one, other, &told);
            }
            pool.extend(one);
        }
        (Err(one), Err(other)) => assert_eq!(one.kind(), other.kind(), "{}: {one} and {other}", told()),
        (Ok(_), Err(error)) => panic!("{}: of copies alone, {error}", told()),
        (Err(error), Ok(_)) => panic!("{}: of views alone, {error}", told()),
    }
    for ((view, copy), before) in chosen.iter().zip(&copies).zip(&before) {
        expect_same(view, before, &|| format!("an operand of {} was written", told()));
        expect_same(copy, before, &|| format!("an operand of {} was written", told()));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    super::operations::seeds(TENSOR_OPERATIONS.len())
}
