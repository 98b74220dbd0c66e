//! What recurrent layers refuse, in which words, and what masks of lengths are.

use kiln_tensor::{DType, Device, Recurrence, RecurrentCell, Tensor};

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::cpu()).unwrap()
}

fn refused(layer: &Recurrence<&Tensor>, input: &[usize]) -> String {
    zeros(input).recurrent(layer).unwrap_err().to_string()
}

#[test]
fn operands_that_do_not_fit_are_named() {
    let weight = zeros(&[20, 5]);
    let lstm = Recurrence::new(RecurrentCell::Lstm, &weight);
    assert_eq!(
        refused(&lstm, &[3, 2, 15]),
        "recurrent: the gates of a cell with 4 take (steps, batch, 4·hidden) and weights (4·hidden, hidden), got (3, 2, 15) and (20, 5)"
    );
    let state = zeros(&[16, 5]);
    assert_eq!(
        refused(&Recurrence { h0: Some(&state), ..lstm }, &[3, 2, 20]),
        "recurrent: the initial state has shape (16, 5), expected (2, 5) for a batch of 2 sequences and 5 units"
    );
    let mask = Tensor::zeros([2, 3], DType::Bool, &Device::cpu()).unwrap();
    assert_eq!(
        refused(&Recurrence { mask: Some(&mask), ..lstm }, &[3, 2, 20]),
        "recurrent: the mask has shape (2, 3), expected (3, 2) (steps, batch), true where a step counts"
    );
    assert!(refused(&Recurrence { mask: Some(&zeros(&[3, 2])), ..lstm }, &[3, 2, 20]).contains("bool"));
    let own = zeros(&[5]);
    assert_eq!(
        refused(&Recurrence { unit_weights: Some(&own), ..lstm }, &[3, 2, 20]),
        "recurrent: weights of each unit given, which the cell `lstm` does not have"
    );
    let (weight, cell) = (zeros(&[15, 5]), zeros(&[2, 5]));
    let gru = Recurrence::new(RecurrentCell::Gru, &weight);
    assert!(
        refused(&Recurrence { c0: Some(&cell), ..gru }, &[3, 2, 15])
            .contains("a cell state given, which the cell `gru`")
    );
    assert!(refused(&Recurrence { unit_weights: Some(&cell), ..gru }, &[3, 2, 15]).contains("expected (5,)"));
}

#[test]
fn masks_of_lengths() {
    let lengths = |lengths: &[i64]| Tensor::from_slice(lengths, [lengths.len()], &Device::cpu()).unwrap();
    let mask = lengths(&[2, 3, 1]).mask_of_lengths(3).unwrap();
    assert_eq!(
        mask.to_vec::<bool>().unwrap(),
        [true, true, true, true, true, false, false, true, false],
        "steps are rows"
    );
    for (bad, words) in
        [(&[2, 4][..], "sequence 1 has length 4, expected 1 to 3"), (&[0, 2], "sequence 0 has length 0")]
    {
        let error = lengths(bad).mask_of_lengths(3).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(zeros(&[2]).mask_of_lengths(3).is_err());
}

#[test]
fn masks_of_more_steps_than_memory_holds() {
    for (lengths, steps) in [(vec![1i64], 1 << 60), (vec![1, 2], usize::MAX), (vec![], usize::MAX), (vec![3], 1 << 46)]
    {
        let lengths = Tensor::from_slice(&lengths, [lengths.len()], &Device::cpu_of(1 << 20)).unwrap();
        assert!(lengths.mask_of_lengths(steps).is_err());
    }
}

#[test]
fn memory_that_is_shared_is_not_written() {
    let input = Tensor::ones([2, 1, 3], DType::F32, &Device::cpu()).unwrap();
    let weight = zeros(&[3, 3]);
    let tanh = Recurrence::new(RecurrentCell::Tanh, &weight);
    let after = input.clone().recurrent(&tanh).unwrap();
    assert_eq!(input.to_vec::<f32>().unwrap(), [1.0; 6]);
    assert!(after.gates.unwrap().to_vec::<f32>().unwrap()[0] < 1.0);
    let no_steps = zeros(&[0, 2, 3]).recurrent(&tanh).unwrap();
    assert!(no_steps.last(false).unwrap().is_none());
}

#[test]
fn states_of_another_run_are_refused() {
    let weight = zeros(&[16, 4]);
    let lstm = Recurrence::new(RecurrentCell::Lstm, &weight);
    let after = zeros(&[3, 2, 16]).recurrent(&lstm).unwrap();
    assert!(after.grad(&lstm, None, None, None).unwrap().is_some());
    let wrong = |change: &dyn Fn(&mut kiln_tensor::RecurrentStates)| {
        let mut states = after.clone();
        change(&mut states);
        states.grad(&lstm, None, None, None).unwrap_err().to_string()
    };
    assert!(wrong(&|states| states.states = states.states.to_dtype(DType::F64).unwrap()).contains("dtypes"));
    assert!(wrong(&|states| states.states = zeros(&[2, 4])).contains("the states has shape (2, 4)"));
    assert!(wrong(&|states| states.inner = Some(zeros(&[3, 1, 4]))).contains("the inner states has shape"));
    assert!(wrong(&|states| states.inner = None).contains("another kind of cell"));
    // Only an LSTM has a cell state.
    let weight = zeros(&[12, 4]);
    let after = zeros(&[3, 2, 12]).recurrent(&Recurrence::new(RecurrentCell::Gru, &weight)).unwrap();
    assert!(after.last_cell(false).unwrap().is_none());
}
