//! Arrays of ndarray and images of image (features of these names).

#[cfg(feature = "ndarray")]
mod arrays {
    use kiln_tensor::{DType, Device, Result, Tensor};
    use ndarray::{Array, Array2, ArrayD, IxDyn, s};

    #[test]
    fn there_and_back() -> Result<()> {
        let array = Array::from_shape_fn((2, 3, 4), |(i, j, k)| (i * 12 + j * 4 + k) as f32);
        let x = Tensor::from_ndarray(&array, &Device::cpu())?;
        assert_eq!((x.dims(), x.dtype()), (&[2, 3, 4][..], DType::F32));
        assert_eq!(x.to_ndarray::<f32>()?, array.into_dyn());
        // A view of both, without a copy.
        let view = x.as_ndarray::<f32>()?;
        assert_eq!(view.as_ptr(), x.as_slice::<f32>()?.as_ptr());
        assert_eq!(view[[1, 2, 3]], 23.0);
        let scalar = Tensor::from_ndarray(&ndarray::arr0(true), &Device::cpu())?;
        assert_eq!((scalar.rank(), scalar.to_ndarray::<bool>()?), (0, ndarray::arr0(true).into_dyn()));
        assert_eq!(Tensor::from_ndarray(&Array2::<i64>::zeros((0, 3)), &Device::cpu())?.dims(), [0, 3]);
        Ok(())
    }

    #[test]
    fn any_strides() -> Result<()> {
        let array = Array::from_shape_fn((4, 5), |(i, j)| (i * 5 + j) as i64);
        let part = array.slice(s![..;-2, 1..;2]);
        let x = Tensor::from_ndarray(&part, &Device::cpu())?;
        assert_eq!(x.to_vec::<i64>()?, part.iter().copied().collect::<Vec<_>>());
        let turned = x.t()?;
        assert_eq!(turned.to_ndarray::<i64>()?, part.t().to_owned().into_dyn());
        assert!(turned.as_ndarray::<i64>().unwrap_err().message().contains("to_vec"));
        assert!(x.to_ndarray::<f32>().unwrap_err().message().contains("to_dtype"));
        let many = ArrayD::<u8>::zeros(IxDyn(&[1; 7]));
        assert!(Tensor::from_ndarray(&many, &Device::cpu()).unwrap_err().message().contains("at most 6"));
        Ok(())
    }
}

#[cfg(feature = "image")]
mod images {
    use image::{DynamicImage, GrayImage, ImageBuffer, Luma, RgbImage, Rgba, RgbaImage};
    use kiln_tensor::{DType, Device, Result, Tensor};

    #[test]
    fn there_and_back() -> Result<()> {
        let color = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8, y as u8, 200]));
        let x = Tensor::from_image(&color, &Device::cpu())?;
        assert_eq!((x.dims(), x.dtype()), (&[3, 5, 3][..], DType::U8));
        assert_eq!(x.index(0, 2)?.index(0, 4)?.to_vec::<u8>()?, [4, 2, 200]);
        assert_eq!(x.to_image()?, DynamicImage::from(color.clone()));
        assert_eq!(Tensor::from_dynamic_image(&color.into(), &Device::cpu())?.dims(), [3, 5, 3]);
        let gray = GrayImage::from_fn(4, 2, |x, _| Luma([x as u8]));
        let y = Tensor::from_image(&gray, &Device::cpu())?;
        assert_eq!((y.dims(), y.squeeze(2)?.to_image()?), (&[2, 4, 1][..], y.to_image()?));
        assert_eq!(y.to_image()?, DynamicImage::from(gray));
        let clear = RgbaImage::from_pixel(2, 2, Rgba([1, 2, 3, 4]));
        assert_eq!(Tensor::from_dynamic_image(&clear.into(), &Device::cpu())?.dims(), [2, 2, 4]);
        // 16 bits become 8.
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, Luma([65535]));
        assert_eq!(Tensor::from_dynamic_image(&deep.into(), &Device::cpu())?.to_vec::<u8>()?, [255]);
        Ok(())
    }

    #[test]
    fn what_is_no_image_is_said() -> Result<()> {
        let error = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::cpu())?.to_image();
        assert!(error(&[2, 2, 3], DType::F32).unwrap_err().message().contains("to_dtype(DType::U8)"));
        for shape in [&[3, 2, 2][..], &[2, 2, 2], &[4], &[1, 2, 2, 3]] {
            assert!(error(shape, DType::U8).unwrap_err().message().contains("(height, width, channels)"));
        }
        Ok(())
    }
}
