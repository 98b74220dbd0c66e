//! Windows as users ask for them: sizes by their definitions, and operands that do not lie row-major.

use kiln_tensor::{
    ConvOptions, DType, Device, ErrorKind, MatmulOptions, Normalization, Padding, PoolOptions, Result, Shape, Tensor,
};
use proptest::prelude::*;

/// Outputs of a window along an axis, counted by trying each position.
fn counted(size: usize, (before, after): (usize, usize), kernel: usize, stride: usize, dilation: usize) -> usize {
    let last = |p: usize| p * stride + (kernel - 1) * dilation;
    (0..).take_while(|&p| last(p) < size + before + after).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn sizes_are_those_of_the_definitions(
        size in 1usize..20, kernel in 1usize..6, stride in 1usize..5, dilation in 1usize..4,
        before in 0usize..4, after in 0usize..4,
    ) {
        let x = Shape::new(&[2, 3, size])?;
        let weight = Shape::new(&[5, 3, kernel])?;
        let options = ConvOptions::new().stride(stride).dilation(dilation).padding([(before, after)]);
        let outputs = counted(size, (before, after), kernel, stride, dilation);
        match options.output_shape(&x, &weight) {
            Ok(shape) => prop_assert_eq!(shape, Shape::new(&[2, 5, outputs])?),
            Err(_) => prop_assert_eq!(outputs, 0),
        }
        // Same: ⌈size/stride⌉ outputs, whatever the kernel, and the odd element after.
        let same = options.padding(Padding::Same).resolve(&x, &weight)?;
        prop_assert_eq!(same.output_shape(&x, &weight)?, Shape::new(&[2, 5, size.div_ceil(stride)])?);
        let (first, last) = same.window.padding[2];
        prop_assert!(last == first || last == first + 1);
        prop_assert_eq!(same.window.padding[0], (0, 0));
        // The transposed convolution of an output leads back to a size of which that is the output.
        if outputs > 0 {
            let y = Shape::new(&[2, 5, outputs])?;
            let rest = size + before + after - ((outputs - 1) * stride + (kernel - 1) * dilation + 1);
            let back = options.output_padding(rest).transposed_shape(&y, &weight)?;
            prop_assert_eq!(back, x);
            let same = options.padding(Padding::Same).transposed_shape(&y, &weight)?;
            prop_assert_eq!(same, Shape::new(&[2, 3, outputs * stride])?);
        }
    }

    #[test]
    fn a_last_window_may_reach_past_the_end_but_not_begin_there(
        size in 1usize..20, kernel in 1usize..6, stride in 1usize..5, padding in 0usize..3,
    ) {
        let x = Shape::new(&[1, 1, size])?;
        let options = PoolOptions::new(kernel).stride(stride).padding(padding).ceil(true);
        let begins = |p: usize| p * stride < size + padding;
        let fits = |p: usize| p * stride + kernel <= size + 2 * padding;
        let Ok(shape) = options.output_shape(&x) else {
            prop_assert!(!fits(0) || padding >= kernel);
            return Ok(());
        };
        let outputs = shape[2];
        // None begins past the end, and they go on until the end is reached or the next would begin past it.
        prop_assert!((0..outputs).all(begins));
        prop_assert!((outputs - 1) * stride + kernel >= size + 2 * padding || !begins(outputs));
    }
}

#[test]
fn numbers_are_written_as_they_come_to_mind() -> Result<()> {
    let (x, weight) = (Shape::new(&[1, 1, 8, 10])?, Shape::new(&[1, 1, 3, 3])?);
    let shape = |padding: Padding| {
        Ok::<_, kiln_tensor::Error>(ConvOptions::new().padding(padding).output_shape(&x, &weight)?[2..].to_vec())
    };
    assert_eq!(shape(Padding::Valid)?, [6, 8]);
    assert_eq!(shape(1.into())?, [8, 10]);
    assert_eq!(shape([1, 2].into())?, [8, 12]);
    assert_eq!(shape([(0, 1), (2, 3)].into())?, [7, 13]);
    assert_eq!(PoolOptions::new([2, 5]).output_shape(&x)?.dims(), [1, 1, 4, 2]);
    assert_eq!(PoolOptions::new(2).stride([1, 3]).output_shape(&x)?.dims(), [1, 1, 7, 3]);
    Ok(())
}

/// Values that do not lie row-major, and the same row-major.
fn strided(shape: &[usize]) -> (Tensor, Tensor) {
    let count: usize = shape.iter().product();
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    let order: Vec<usize> = (0..shape.len()).rev().collect();
    let values: Vec<f32> = (0..count).map(|i| ((i * 37 + 11) % 41) as f32 / 8.0 - 2.0).collect();
    let base = Tensor::from_slice(&values, reversed, &Device::cpu()).unwrap();
    let view = base.permute(&order).unwrap().flip(0).unwrap();
    assert!(!view.is_contiguous() || count <= 1);
    (view.clone(), view.copied().unwrap())
}

#[test]
fn operands_need_not_lie_row_major() -> Result<()> {
    let (x, x_rows) = strided(&[2, 3, 5, 4]);
    let (w, w_rows) = strided(&[4, 3, 3, 2]);
    let (bias, bias_rows) = strided(&[4]);
    let options = ConvOptions::new().stride([1, 2]).padding(Padding::Same);
    let conv = options.resolve(x.shape(), w.shape())?;
    let after = |bias| MatmulOptions { bias: Some(bias), activation: None };
    let (y, y_rows) = (x.conv(&w, &options, after(&bias))?, x_rows.conv(&w_rows, &options, after(&bias_rows))?);
    assert_eq!(y.to_vec::<f32>()?, y_rows.to_vec::<f32>()?);
    let (dy, dy_rows) = strided(y.dims());
    assert_eq!(
        dy.conv_grad_input(&w, &conv, x.shape())?.to_vec::<f32>()?,
        dy_rows.conv_grad_input(&w_rows, &conv, x.shape())?.to_vec::<f32>()?
    );
    assert_eq!(
        x.conv_grad_weight(&dy, &conv)?.to_vec::<f32>()?,
        x_rows.conv_grad_weight(&dy_rows, &conv)?.to_vec::<f32>()?
    );
    let pool = PoolOptions::new(2);
    let ((max, index), (max_rows, index_rows)) = (x.max_pool(&pool)?, x_rows.max_pool(&pool)?);
    assert_eq!(max.to_vec::<f32>()?, max_rows.to_vec::<f32>()?);
    assert_eq!(index.to_vec::<i64>()?, index_rows.to_vec::<i64>()?);
    let (dy, dy_rows) = strided(max.dims());
    assert_eq!(
        dy.max_pool_grad(&index, x.shape())?.to_vec::<f32>()?,
        dy_rows.max_pool_grad(&index, x.shape())?.to_vec::<f32>()?
    );
    let (values, maxima) = x.max_pool_with_taps(&pool)?;
    assert_eq!(x.max_pool_values(&pool)?.to_vec::<f32>()?, values.to_vec::<f32>()?);
    assert_eq!(maxima.gradient(&dy)?.to_vec::<f32>()?, dy.max_pool_grad(&index, x.shape())?.to_vec::<f32>()?);
    let (moments, moments_rows) = (x.moments()?, x_rows.moments()?);
    assert_eq!(moments.to_vec::<f32>()?, moments_rows.to_vec::<f32>()?);
    let form = Normalization { epsilon: 1e-3, own_moments: true, activation: None };
    let (weight, weight_rows) = strided(&[3]);
    let moments_t = moments.t()?.copied()?.t()?;
    assert_eq!(
        x.normalize(&form, &moments_t, Some(&weight), Some(&weight))?.to_vec::<f32>()?,
        x_rows.normalize(&form, &moments, Some(&weight_rows), Some(&weight_rows))?.to_vec::<f32>()?
    );
    let (dy, dy_rows) = strided(x.dims());
    let all = x.normalize_grad(&form, &moments_t, Some(&weight), None, &dy)?.unwrap();
    let all_rows = x_rows.normalize_grad(&form, &moments, Some(&weight_rows), None, &dy_rows)?.unwrap();
    for (a, b) in [(all.dx, all_rows.dx), (all.weight, all_rows.weight), (all.bias, all_rows.bias)] {
        assert_eq!(a.to_vec::<f32>()?, b.to_vec::<f32>()?);
    }
    assert_eq!(x.pad(&[(1, 2), (0, 3)], 7.0)?.to_vec::<f32>()?, x_rows.pad(&[(1, 2), (0, 3)], 7.0)?.to_vec::<f32>()?);
    Ok(())
}

#[test]
fn padding_is_put_around_and_taken_off() -> Result<()> {
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu())?;
    let padded = x.pad(&[(1, 0), (0, 2)], -1.0)?;
    assert_eq!(padded.to_vec::<f32>()?, [-1.0, -1.0, -1.0, -1.0, 1.0, 2.0, -1.0, -1.0, 3.0, 4.0, -1.0, -1.0]);
    assert_eq!(padded.crop(&[(1, 0), (0, 2)])?.to_vec::<f32>()?, x.to_vec::<f32>()?);
    let empty = Tensor::zeros([0, 2], DType::F32, &Device::cpu())?.pad(&[(1, 0), (0, 0)], 5.0)?;
    assert_eq!(empty.to_vec::<f32>()?, [5.0, 5.0]);
    Ok(())
}

#[test]
fn averages_count_what_they_meet() -> Result<()> {
    let x = Shape::new(&[1, 1, 5])?;
    let counts = |options: PoolOptions| Ok::<_, kiln_tensor::Error>(options.counts("avg_pool", &x)?[2].clone());
    let options = PoolOptions::new(3).stride(2).padding(1);
    assert_eq!(counts(options)?, [3, 3, 3]);
    assert_eq!(counts(options.count_include_pad(false))?, [2, 3, 2]);
    assert_eq!(counts(options.padding(Padding::Same))?, [2, 3, 2]);
    // A window past the end counts what is there, padding included, but not what lies beyond that.
    let past = PoolOptions::new(4).stride(2).padding(1).ceil(true);
    assert_eq!(counts(past)?, [4, 4, 3]);
    assert_eq!(counts(past.count_include_pad(false))?, [3, 4, 2]);
    Ok(())
}

/// Positions are those in the plane, for windows whose taps take a byte and for larger ones, in every dtype and rank.
#[test]
fn maxima_are_where_positions_say() -> Result<()> {
    let cpu = Device::cpu();
    for (shape, options) in [
        (&[2, 3, 40][..], PoolOptions::new(3).stride(2).padding(1)),
        (&[1, 2, 9, 70], PoolOptions::new([3, 4]).dilation([2, 3]).padding([(0, 1), (1, 0)])),
        (&[2, 1, 19, 18], PoolOptions::new(17).stride(1).padding(3)),
        (&[1, 2, 8, 9, 10], PoolOptions::new([7, 7, 6]).stride(2)),
        (&[0, 2, 8], PoolOptions::new(2)),
    ] {
        let count: usize = shape.iter().product();
        let numbers: Vec<f32> = (0..count).map(|i| (i * 7919 % 1009) as f32).collect();
        let x = Tensor::from_vec(numbers.clone(), shape, &cpu)?;
        let (y, index) = x.max_pool(&options)?;
        assert_eq!(index.shape(), y.shape());
        let plane: usize = shape[2..].iter().product();
        let outputs: usize = y.dims()[2..].iter().product();
        let (values, places) = (y.to_vec::<f32>()?, index.to_vec::<i64>()?);
        for (i, (value, &place)) in values.iter().zip(&places).enumerate() {
            assert!((place as usize) < plane);
            assert_eq!(numbers[i / outputs * plane + place as usize], *value, "{shape:?} {i}");
        }
        // Half types add up in f32, so that thousands of ones are counted.
        let ones = Tensor::ones(y.shape(), DType::BF16, &cpu)?;
        let back = ones.max_pool_grad(&index, x.shape())?;
        assert_eq!((back.dtype(), back.to_dtype(DType::F32)?.sum_all()?.item()?), (DType::BF16, values.len() as f64));
    }
    Ok(())
}

#[test]
fn positions_outside_of_their_plane_are_refused() -> Result<()> {
    let cpu = Device::cpu();
    let dy = Tensor::ones([2, 2, 3], DType::F32, &cpu)?;
    let shape = Shape::new(&[2, 2, 6])?;
    for (place, at) in [(6, 0), (-1, 4), (i64::MAX, 11), (i64::MIN, 7), (23, 2)] {
        let mut places = vec![0; 12];
        places[at] = place;
        let error = dy.max_pool_grad(&Tensor::from_vec(places, [2, 2, 3], &cpu)?, &shape).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (
                ErrorKind::Index,
                format!("max_pool_grad: index {place} is outside of its plane of 6 elements in (2, 2, 6)")
            )
        );
    }
    // Nothing has places in nothing.
    let none = Tensor::from_vec(Vec::<i64>::new(), [0, 2, 3], &cpu)?;
    let dx = Tensor::ones([0, 2, 3], DType::F32, &cpu)?.max_pool_grad(&none, &Shape::new(&[0, 2, 6])?)?;
    assert_eq!(dx.dims(), [0, 2, 6]);
    let (_, maxima) = Tensor::ones([1, 2, 6], DType::F32, &cpu)?.max_pool_with_taps(&PoolOptions::new(2))?;
    assert_eq!(
        maxima.gradient(&dy).unwrap_err().to_string(),
        "max_pool_grad: (2, 2, 3) at (1, 2, 3) is not the shape of a gradient of the maxima of (1, 2, 6)"
    );
    assert!(maxima.gradient(&Tensor::zeros([1, 2, 3], DType::I64, &cpu)?).is_err());
    Ok(())
}
