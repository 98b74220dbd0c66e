//! To and from the images of the crate image.

use crate::{DType, Device, Error, ErrorKind, Result, Tensor};
use image::{DynamicImage, GrayImage, ImageBuffer, Pixel, RgbImage, RgbaImage};

impl Tensor {
    /// The pixels of an image of bytes (`GrayImage`, `RgbImage`, `RgbaImage`, …) as u8 (height, width, channels).
    ///
    /// ```
    /// # use kiln_tensor::{DType, Device, Tensor};
    /// let image = image::RgbImage::from_pixel(5, 3, image::Rgb([255, 128, 0]));
    /// let x = Tensor::from_image(&image, &Device::cpu())?;
    /// assert_eq!(x.dims(), [3, 5, 3]);
    /// // As a network takes it: (channels, height, width), 0 to 1.
    /// let input = x.permute(&[2, 0, 1])?.to_dtype(DType::F32)?.mul_scalar(1.0 / 255.0)?;
    /// assert_eq!(input.dims(), [3, 3, 5]);
    /// assert_eq!(x.to_image()?, image::DynamicImage::from(image));
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Out of memory.
    pub fn from_image<P, C>(image: &ImageBuffer<P, C>, device: &Device) -> Result<Tensor>
    where
        P: Pixel<Subpixel = u8>,
        C: std::ops::Deref<Target = [u8]>,
    {
        let (width, height) = image.dimensions();
        let dims = [height as usize, width as usize, usize::from(P::CHANNEL_COUNT)];
        // The container may be longer than the image.
        let bytes: usize = dims.iter().product();
        Tensor::from_slice(&image.as_raw()[..bytes], dims, device)
    }

    /// The pixels of an image of any type as u8 (height, width, channels): 1 channel of a gray image, 4 of one with transparency, else
    /// 3; values of 16 bits and floats are scaled to bytes.
    ///
    /// # Errors
    /// Out of memory.
    pub fn from_dynamic_image(image: &DynamicImage, device: &Device) -> Result<Tensor> {
        match (image.color().has_color(), image.color().has_alpha()) {
            (_, true) => Tensor::from_image(&image.to_rgba8(), device),
            (true, false) => Tensor::from_image(&image.to_rgb8(), device),
            (false, false) => Tensor::from_image(&image.to_luma8(), device),
        }
    }

    /// The image of pixels u8 (height, width, channels), of 1 (gray), 3 (RGB) or 4 (RGBA) channels, or (height, width), gray.
    ///
    /// # Errors
    /// Another dtype or shape; a fault of the device that surfaced.
    pub fn to_image(&self) -> Result<DynamicImage> {
        if self.dtype() != DType::U8 {
            let message = format!(
                "pixels are u8 from 0 to 255, the tensor is {}: scale it, then convert with `to_dtype(DType::U8)`",
                self.dtype()
            );
            return Err(Error::new(ErrorKind::DType, "to_image", message));
        }
        let wrong = || {
            let message = format!(
                "{} is no image: (height, width, channels) of 1, 3 or 4 channels is expected; `permute` brings channels to the end",
                self.shape()
            );
            Error::shape("to_image", message)
        };
        let (height, width, channels) = match *self.dims() {
            [height, width] => (height, width, 1),
            [height, width, channels] => (height, width, channels),
            _ => return Err(wrong()),
        };
        let (Ok(height), Ok(width)) = (u32::try_from(height), u32::try_from(width)) else { return Err(wrong()) };
        let pixels = self.to_vec::<u8>()?;
        let image = match channels {
            1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
            3 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
            4 => RgbaImage::from_raw(width, height, pixels).map(DynamicImage::from),
            _ => None,
        };
        image.ok_or_else(wrong)
    }
}
