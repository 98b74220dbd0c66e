//! Things that are chosen by name: macros for lists of them.

/// Calls the setters of the same names as the settings that are there: `set!(settings, Adam::new(lr); epsilon weight_decay)`.
macro_rules! set {
    ($settings:expr, $made:expr $(; $($key:ident)*)?) => {{
        #[allow(unused_mut)] // where there is no setter
        let mut made = $made;
        $($(
            if let Some(value) = $settings.get(stringify!($key))? {
                made = made.$key(value);
            }
        )*)?
        made
    }};
}
pub(super) use set;

/// Makes the thing of a [`Named`](super::Named): `choose!(named, "optimizer", s; Adam => …, Sgd => …)`, where `s` is its settings.
macro_rules! choose {
    ($named:expr, $what:literal, $settings:ident; $($name:ident => $made:expr),+ $(,)?) => {{
        let $settings = &$named.settings;
        match $named.which($what, &[$(stringify!($name)),+])? {
            $(stringify!($name) => $made,)+
            other => return Err(kiln::Error::value("", format!("unknown {} {other}", $what))),
        }
    }};
}
pub(super) use choose;
