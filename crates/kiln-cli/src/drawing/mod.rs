//! Pictures of runs, as PNG files.

mod axis;
mod canvas;
mod chart;
mod confusion;
mod coordinates;
mod curves;
mod rates;
mod sheet;
mod tiles;

pub(crate) use confusion::confusion;
pub(crate) use coordinates::{Coordinates, Path, Scale, coordinates};
pub(crate) use curves::{Curve, curves, quantities, short};
pub(crate) use rates::{rates, short as short_rate};
pub(crate) use sheet::{Row, Sheet, sheet};
pub(crate) use tiles::{COLUMNS, Group, SIDE, Tile, tiles};
