//! The settings that a layer is given one after the other: `Conv2d::new(64, 3).stride(2).use_bias(false)`.

/// Public methods that set something and give the layer back. Each is written as a method of `self` and one value.
macro_rules! setters {
    ($($(#[$doc:meta])+ fn $name:ident($layer:ident, $value:ident: $type:ty) $body:block)+) => {$(
        $(#[$doc])+
        #[must_use]
        pub fn $name(mut $layer, $value: $type) -> Self {
            $body
            $layer
        }
    )+};
}
pub(crate) use setters;
