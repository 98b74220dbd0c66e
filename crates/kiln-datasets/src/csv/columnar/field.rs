//! A value of a column as the text that a CSV file would have.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_schema::{DataType, TimeUnit};
use std::fmt::{Debug, Write};

/// Whether [`write`] knows what a column holds.
pub(super) fn is_known(of: &DataType) -> bool {
    match of {
        DataType::Dictionary(_, values) => !matches!(**values, DataType::Dictionary(..)) && is_known(values),
        DataType::Null | DataType::Boolean | DataType::Date32 | DataType::Date64 => true,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) => true,
        other => other.is_integer() || other.is_floating() || other.is_decimal(),
    }
}

/// Writes the value in a row of a column, nothing for a null.
pub(super) fn write(column: &dyn Array, row: usize, text: &mut String) {
    if column.is_null(row) {
        return;
    }
    // Writing to a string does not fail.
    let _ = match column.data_type() {
        DataType::Boolean => write!(text, "{}", column.as_boolean().value(row)),
        DataType::Utf8 => text.write_str(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text.write_str(column.as_string::<i64>().value(row)),
        DataType::Utf8View => text.write_str(column.as_string_view().value(row)),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            write(dictionary.values().as_ref(), key(dictionary.keys(), row), text);
            Ok(())
        }
        of if of.is_numeric() => number(column, row, text),
        _ => moment(column, row, text),
    };
}

/// Does the same with a primitive column of whichever of these types it is.
macro_rules! primitive {
    ($column:ident, $row:ident, { $($of:pat => $type:ty),+ $(,)? }, |$value:ident| $then:expr, $else:expr) => {
        match $column.data_type() {
            $($of => {
                let $value = $column.as_primitive::<$type>().value($row);
                $then
            })+
            _ => $else,
        }
    };
}

/// The place of a row's value in the dictionary.
fn key(keys: &dyn Array, row: usize) -> usize {
    primitive!(keys, row, {
        DataType::Int8 => Int8Type, DataType::Int16 => Int16Type, DataType::Int32 => Int32Type, DataType::Int64 => Int64Type,
        DataType::UInt8 => UInt8Type, DataType::UInt16 => UInt16Type, DataType::UInt32 => UInt32Type,
        DataType::UInt64 => UInt64Type,
    }, |key| key as usize, 0)
}

fn number(column: &dyn Array, row: usize, text: &mut String) -> std::fmt::Result {
    primitive!(column, row, {
        DataType::Int8 => Int8Type, DataType::Int16 => Int16Type, DataType::Int32 => Int32Type, DataType::Int64 => Int64Type,
        DataType::UInt8 => UInt8Type, DataType::UInt16 => UInt16Type, DataType::UInt32 => UInt32Type,
        DataType::UInt64 => UInt64Type,
    }, |number| write!(text, "{number}"), match column.data_type() {
        DataType::Float16 => float(column.as_primitive::<Float16Type>().value(row).to_f32(), text),
        DataType::Float32 => float(column.as_primitive::<Float32Type>().value(row), text),
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row), text),
        _ => decimal(column, row, text),
    })
}

/// NaN is a missing value; other numbers keep their point, 1.0, so that they do not look like integers.
fn float(number: impl Debug + Copy + Into<f64>, text: &mut String) -> std::fmt::Result {
    if number.into().is_nan() { Ok(()) } else { write!(text, "{number:?}") }
}

fn decimal(column: &dyn Array, row: usize, text: &mut String) -> std::fmt::Result {
    text.write_str(&match column.data_type() {
        DataType::Decimal32(..) => column.as_primitive::<Decimal32Type>().value_as_string(row),
        DataType::Decimal64(..) => column.as_primitive::<Decimal64Type>().value_as_string(row),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(row),
        _ => column.as_primitive::<Decimal256Type>().value_as_string(row),
    })
}

/// A date, a time or both.
fn moment(column: &dyn Array, row: usize, text: &mut String) -> std::fmt::Result {
    macro_rules! write_moment {
        ($type:ty, $read:ident) => {{
            let column = column.as_primitive::<$type>();
            match column.$read(row) {
                Some(moment) => write!(text, "{moment}"),
                // Beyond what a calendar has.
                None => write!(text, "{}", column.value(row)),
            }
        }};
    }
    match column.data_type() {
        DataType::Date32 => write_moment!(Date32Type, value_as_date),
        DataType::Date64 => write_moment!(Date64Type, value_as_date),
        DataType::Timestamp(TimeUnit::Second, _) => write_moment!(TimestampSecondType, value_as_datetime),
        DataType::Timestamp(TimeUnit::Millisecond, _) => write_moment!(TimestampMillisecondType, value_as_datetime),
        DataType::Timestamp(TimeUnit::Microsecond, _) => write_moment!(TimestampMicrosecondType, value_as_datetime),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => write_moment!(TimestampNanosecondType, value_as_datetime),
        DataType::Time32(TimeUnit::Second) => write_moment!(Time32SecondType, value_as_time),
        DataType::Time32(_) => write_moment!(Time32MillisecondType, value_as_time),
        DataType::Time64(TimeUnit::Microsecond) => write_moment!(Time64MicrosecondType, value_as_time),
        DataType::Time64(_) => write_moment!(Time64NanosecondType, value_as_time),
        // Null, and what `is_known` refuses.
        _ => Ok(()),
    }
}
