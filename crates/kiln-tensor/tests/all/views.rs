//! Views against index arithmetic on copied arrays.

use kiln_tensor::{Device, ErrorKind, Layout, MAX_RANK, Shape, Tensor, broadcast_shapes};
use proptest::prelude::*;

/// All indices of a shape, row-major.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for &size in shape {
        all = all
            .into_iter()
            .flat_map(|index: Vec<usize>| (0..size).map(move |i| [index.clone(), vec![i]].concat()))
            .collect();
    }
    all
}

/// An array that is copied by every operation.
#[derive(Clone, Debug)]
struct Array {
    shape: Vec<usize>,
    values: Vec<i64>,
}

impl Array {
    fn at(&self, index: &[usize]) -> i64 {
        self.values[index.iter().zip(&self.shape).fold(0, |place, (&i, &size)| place * size + i)]
    }
    /// The array of this shape whose element at an index is this one's at `from(index)`.
    fn map(&self, shape: Vec<usize>, from: impl Fn(&[usize]) -> Vec<usize>) -> Array {
        let values = indices(&shape).iter().map(|index| self.at(&from(index))).collect();
        Array { shape, values }
    }
}

/// Numbers that an operation is chosen and made with.
type Choice = (u8, [usize; MAX_RANK], bool);

/// One operation on both.
fn apply(tensor: &Tensor, array: &Array, (operation, n, flag): Choice) -> (Tensor, Array) {
    let rank = array.shape.len();
    let axis = n[0] % rank.max(1);
    match operation % 7 {
        0 => {
            let mut order: Vec<usize> = (0..rank).collect();
            for i in (1..rank).rev() {
                order.swap(i, n[i] % (i + 1));
            }
            let shape = order.iter().map(|&axis| array.shape[axis]).collect();
            let out = array.map(shape, |index| {
                let mut from = vec![0; rank];
                order.iter().zip(index).for_each(|(&axis, &i)| from[axis] = i);
                from
            });
            (tensor.permute(&order).unwrap(), out)
        }
        1 if rank > 0 => {
            let size = array.shape[axis];
            let start = n[1] % (size + 1);
            let end = start + n[2] % (size - start + 1);
            let step = (n[3] % 3 + 1) as isize * if flag { -1 } else { 1 };
            // Python's: every step-th of the range, the range taken backwards for a negative step.
            let mut picked: Vec<usize> = (start..end).collect();
            if step < 0 {
                picked.reverse();
            }
            let picked: Vec<usize> = picked.into_iter().step_by(step.unsigned_abs()).collect();
            let mut shape = array.shape.clone();
            shape[axis] = picked.len();
            let out = array.map(shape, |index| {
                let mut from = index.to_vec();
                from[axis] = picked[index[axis]];
                from
            });
            (tensor.slice_by(axis, start..end, step).unwrap(), out)
        }
        2 if rank > 0 => {
            let size = array.shape[axis];
            let out = array.map(array.shape.clone(), |index| {
                let mut from = index.to_vec();
                from[axis] = size - 1 - index[axis];
                from
            });
            (tensor.flip(axis).unwrap(), out)
        }
        3 if rank < MAX_RANK => {
            let lead = n[1] % (MAX_RANK - rank).min(2);
            let stretched = |(i, &size): (usize, &usize)| if size == 1 && n[i] % 2 == 0 { 1 + n[i] % 3 } else { size };
            let shape: Vec<usize> =
                std::iter::repeat_n(2, lead).chain(array.shape.iter().enumerate().map(stretched)).collect();
            let out = array.map(shape.clone(), |index| {
                index[lead..].iter().zip(&array.shape).map(|(&i, &size)| if size == 1 { 0 } else { i }).collect()
            });
            (tensor.broadcast_to(shape).unwrap(), out)
        }
        4 => {
            let shape = factors(array.values.len(), n);
            let out = Array { shape: shape.clone(), values: array.values.clone() };
            (tensor.reshape(shape).unwrap(), out)
        }
        5 if rank < MAX_RANK => {
            let axis = n[0] % (rank + 1);
            let mut shape = array.shape.clone();
            shape.insert(axis, 1);
            (tensor.unsqueeze(axis).unwrap(), Array { shape, values: array.values.clone() })
        }
        6 if rank > 0 && array.shape[axis] > 0 => {
            let at = n[1] % array.shape[axis];
            let mut shape = array.shape.clone();
            shape.remove(axis);
            let out = array.map(shape, |index| [&index[..axis], &[at], &index[axis..]].concat());
            (tensor.index(axis, at).unwrap(), out)
        }
        _ => (tensor.clone(), array.clone()),
    }
}

/// A shape of `count` elements, by cutting factors off.
fn factors(count: usize, n: [usize; MAX_RANK]) -> Vec<usize> {
    let mut shape = vec![];
    let mut left = count;
    for &choice in &n[..MAX_RANK - 1] {
        let divisors: Vec<usize> = (1..=left.min(12)).filter(|d| left.is_multiple_of(*d)).collect();
        if !divisors.is_empty() && choice % 4 != 0 {
            let size = divisors[choice % divisors.len()];
            shape.push(size);
            left /= size;
        }
    }
    shape.insert(n[0] % (shape.len() + 1), left);
    shape
}

/// Offsets of a layout's elements, row-major.
fn offsets(layout: &Layout) -> Vec<isize> {
    let place = |index: &Vec<usize>| {
        let steps: isize = index.iter().zip(layout.strides()).map(|(&i, &stride)| i as isize * stride).sum();
        layout.offset() as isize + steps
    };
    indices(layout.shape()).iter().map(place).collect()
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    prop::collection::vec((any::<u8>(), prop::array::uniform6(0usize..1000), any::<bool>()), 0..7)
}

fn start() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1 => Just(0usize), 3 => Just(1), 20 => 2usize..6], 0..5)
        .prop_filter("not too large", |dims| dims.iter().product::<usize>() <= 600)
}

fn chain(dims: &[usize], choices: Vec<Choice>, mut each: impl FnMut(&Tensor, &Array)) {
    let values: Vec<i64> = (0..dims.iter().product::<usize>() as i64).collect();
    let mut tensor = Tensor::from_slice(&values, dims, &Device::cpu()).unwrap();
    let mut array = Array { shape: dims.to_vec(), values };
    for choice in choices {
        (tensor, array) = apply(&tensor, &array, choice);
        if array.values.len() > 3000 {
            return;
        }
        each(&tensor, &array);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn chains_of_views_show_what_copies_would(dims in start(), choices in choices()) {
        chain(&dims, choices, |tensor, array| {
            assert_eq!(tensor.dims(), array.shape);
            assert_eq!(tensor.to_vec::<i64>().unwrap(), array.values);
            let (low, high) = tensor.layout().extent();
            let offsets = offsets(tensor.layout());
            if offsets.is_empty() {
                assert_eq!(low, high);
            } else {
                assert_eq!(*offsets.iter().min().unwrap(), low as isize);
                assert_eq!(offsets.iter().max().unwrap() + 1, high as isize);
            }
            let row_major = offsets.windows(2).all(|pair| pair[1] == pair[0] + 1);
            assert_eq!(tensor.is_contiguous(), row_major);
        });
    }

    /// A reshaped layout has the same elements in the same order, and there is one whenever strides exist that do it.
    #[test]
    fn reshape_needs_no_copy_where_strides_exist(
        dims in start(),
        choices in choices(),
        n in prop::array::uniform6(0usize..1000),
    ) {
        let mut reached = None;
        chain(&dims, choices, |tensor, _| reached = Some(tensor.clone()));
        if let Some(tensor) = reached {
            let layout = *tensor.layout();
            let old = offsets(&layout);
            let shape = Shape::new(&factors(old.len(), n)).unwrap();
            // The only strides that could be: from the first element to the second along each axis.
            let mut strides = vec![0; shape.rank()];
            let mut inner = 1;
            for axis in (0..shape.rank()).rev() {
                if shape[axis] > 1 && !old.is_empty() {
                    strides[axis] = old[inner] - old[0];
                }
                inner *= shape[axis];
            }
            let place = |index: &Vec<usize>| -> isize { index.iter().zip(&strides).map(|(&i, &s)| i as isize * s).sum() };
            let exists = indices(&shape).iter().zip(&old).all(|(index, &at)| old[0] + place(index) == at);
            match layout.reshape(shape) {
                Some(new) => {
                    prop_assert_eq!(new.shape(), &shape);
                    prop_assert_eq!(&offsets(&new), &old);
                }
                None => prop_assert!(!exists, "{:?} to {}", layout, shape),
            }
            let more = Shape::new(&[old.len() + 1]).unwrap();
            prop_assert_eq!(layout.reshape(more), None);
        }
    }

    #[test]
    fn broadcasting_is_numpys(a in start(), b in start()) {
        let (x, y) = (Shape::new(&a).unwrap(), Shape::new(&b).unwrap());
        let rank = a.len().max(b.len());
        let from_end = |dims: &[usize], i: usize| if i < dims.len() { dims[dims.len() - 1 - i] } else { 1 };
        let pairs: Vec<(usize, usize)> = (0..rank).rev().map(|i| (from_end(&a, i), from_end(&b, i))).collect();
        let fits = pairs.iter().all(|&(p, q)| p == q || p == 1 || q == 1);
        let got = broadcast_shapes("add", &x, &y);
        prop_assert_eq!(got.is_ok(), fits);
        if let Ok(shape) = got {
            let want: Vec<usize> = pairs.iter().map(|&(p, q)| if p == 1 { q } else { p }).collect();
            prop_assert_eq!(shape.dims(), want);
            prop_assert_eq!(broadcast_shapes("add", &y, &x).unwrap(), shape);
            // Both broadcast to it; it to neither, unless it is that.
            prop_assert!(Layout::contiguous(x).broadcast_to(&shape).is_ok());
            prop_assert!(Layout::contiguous(y).broadcast_to(&shape).is_ok());
            if shape != x && shape.iter().any(|&n| n != 1) {
                prop_assert!(Layout::contiguous(shape).broadcast_to(&x).is_err());
            }
        }
    }

    #[test]
    fn concat_and_slice_are_inverse(dims in start(), cut in any::<usize>(), axis in any::<usize>(), choices in choices()) {
        prop_assume!(!dims.is_empty());
        let mut reached = None;
        chain(&dims, choices, |tensor, _| reached = Some(tensor.clone()));
        if let Some(tensor) = reached.filter(|tensor| tensor.rank() > 0) {
            let axis = axis % tensor.rank();
            let size = tensor.dims()[axis];
            let cut = cut % (size + 1);
            let (a, b) = (tensor.slice(axis, 0..cut).unwrap(), tensor.slice(axis, cut..size).unwrap());
            let joined = Tensor::concat(&[&a, &b], axis).unwrap();
            prop_assert_eq!(joined.shape(), tensor.shape());
            prop_assert_eq!(joined.to_vec::<i64>().unwrap(), tensor.to_vec::<i64>().unwrap());
            if tensor.rank() < MAX_RANK {
                let stacked = Tensor::stack(&[&tensor, &tensor], axis).unwrap();
                let one = stacked.index(axis, 1).unwrap();
                prop_assert_eq!(one.to_vec::<i64>().unwrap(), tensor.to_vec::<i64>().unwrap());
            }
        }
    }
}

#[test]
fn views_share_memory_and_copies_do_not() {
    let x = Tensor::arange(24, &Device::cpu()).unwrap().reshape((2, 3, 4)).unwrap();
    let y = x.permute(&[2, 0, 1]).unwrap();
    assert_eq!(y.storage_id(), x.storage_id());
    // The last two axes of y chain: (4, 6) is a view, (24,) is not.
    assert_eq!(y.reshape((4, 6)).unwrap().storage_id(), x.storage_id());
    assert_ne!(y.reshape(24).unwrap().storage_id(), x.storage_id());
    assert_ne!(x.copied().unwrap().storage_id(), x.storage_id());
    assert_eq!(x.contiguous().unwrap().storage_id(), x.storage_id());
}

#[test]
fn empty_and_scalar_shapes() {
    let device = Device::cpu();
    let empty = Tensor::from_slice::<f32>(&[], (3, 0, 2), &device).unwrap();
    assert!(empty.flip(2).unwrap().is_contiguous());
    assert_eq!(empty.reshape((0, 7)).unwrap().dims(), [0, 7]);
    assert_eq!(empty.flip(0).unwrap().permute(&[2, 1, 0]).unwrap().reshape(0).unwrap().dims(), [0]);
    assert_eq!(empty.flatten(1).unwrap().dims(), [3, 0]);
    let scalar = Tensor::scalar(2.5f32, &device).unwrap();
    assert_eq!(scalar.reshape((1, 1, 1)).unwrap().reshape(()).unwrap().item().unwrap(), 2.5);
    assert_eq!(scalar.flatten(0).unwrap().dims(), [1]);
    assert_eq!(scalar.broadcast_to((2, 3)).unwrap().to_vec::<f32>().unwrap(), [2.5; 6]);
}

#[test]
fn views_that_cannot_be_are_refused() {
    let x = Tensor::arange(24, &Device::cpu()).unwrap().reshape((2, 3, 4)).unwrap();
    let wrong = [
        x.reshape((5, 5)).err(),
        x.permute(&[0, 1]).err(),
        x.permute(&[0, 0, 1]).err(),
        x.permute(&[0, 1, 3]).err(),
        x.transpose(0, 3).err(),
        x.t().err(),
        x.slice(3, 0..1).err(),
        x.slice(1, 0..4).err(),
        #[allow(clippy::reversed_empty_ranges)] // that is the mistake
        x.slice(1, 2..1).err(),
        x.slice_by(1, 0..3, 0).err(),
        x.flip(3).err(),
        x.index(2, 4).err(),
        x.index(2, usize::MAX).err(),
        x.unsqueeze(4).err(),
        x.squeeze(0).err(),
        x.squeeze(7).err(),
        x.flatten(4).err(),
        x.broadcast_to((3, 4)).err(),
        x.broadcast_to((2, 3, 5)).err(),
        Tensor::concat(&[&x, &x.slice(1, 0..2).unwrap()], 0).err(),
        Tensor::concat(&[&x], 3).err(),
        Tensor::stack(&[&x, &x.slice(1, 0..2).unwrap()], 0).err(),
        Shape::new(&[1; MAX_RANK + 1]).err(),
        Shape::new(&[usize::MAX, 2]).err(),
        Shape::new(&[0, usize::MAX, usize::MAX]).err(),
    ];
    for (i, error) in wrong.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("mistake {i} was accepted"));
        assert!(matches!(error.kind(), ErrorKind::Shape | ErrorKind::Index), "{error}");
    }
}
