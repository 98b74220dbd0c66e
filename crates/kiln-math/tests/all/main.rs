//! The tests of the scalar definitions, one program.

mod draws;
mod elementary;
mod list;
mod odd;
mod range;
mod recurrent;
mod reference;
mod special;
mod update;
