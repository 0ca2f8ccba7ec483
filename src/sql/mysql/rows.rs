//! Columns, and rows in both of MySQL's formats: as text, and in binary for statements with values.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>

use std::borrow::Cow;
use std::io;

use mysql_common::constants::{ColumnFlags, ColumnType};
use mysql_common::io::ParseBuf;
use mysql_common::packets;
use mysql_common::value::{BinValue, Value, ValueDeserializer};

use super::super::{Column, ColumnKind};
use super::packets::malformed;
use crate::hex;

/// The character set of bytes.
const BINARY: u16 = 63;
/// Where a binary row's bits begin that say what is NULL.
const NULL_BITS: usize = 2;
/// More decimals than this say that there is no fixed number of them.
const MOST_DECIMALS: u8 = 6;

/// How a statement's rows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
}

/// What a column's values are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    ty: ColumnType,
    flags: ColumnFlags,
    decimals: u8,
    is_bytes: bool,
}

/// Reads the description of a column.
pub(super) fn column(packet: &[u8]) -> io::Result<(Column, Shape)> {
    let read = ParseBuf(packet).parse::<packets::Column>(());
    let column = read.map_err(|_| malformed("the server describes a column that is none"))?;
    let shape = Shape {
        ty: column.column_type(),
        flags: column.flags(),
        decimals: column.decimals(),
        is_bytes: is_bytes(column.column_type(), column.character_set()),
    };
    let named = Column {
        name: column.name_str().into_owned(),
        kind: shape.kind(),
    };
    Ok((named, shape))
}

fn is_bytes(ty: ColumnType, character_set: u16) -> bool {
    use ColumnType as T;
    match ty {
        T::MYSQL_TYPE_BIT | T::MYSQL_TYPE_GEOMETRY | T::MYSQL_TYPE_VECTOR => true,
        T::MYSQL_TYPE_STRING
        | T::MYSQL_TYPE_VAR_STRING
        | T::MYSQL_TYPE_VARCHAR
        | T::MYSQL_TYPE_TINY_BLOB
        | T::MYSQL_TYPE_MEDIUM_BLOB
        | T::MYSQL_TYPE_LONG_BLOB
        | T::MYSQL_TYPE_BLOB => character_set == BINARY,
        _ => false,
    }
}

impl Shape {
    fn kind(self) -> ColumnKind {
        match self.ty {
            // Its zeros in front are no number's; a year has them, too.
            _ if self.flags.contains(ColumnFlags::ZEROFILL_FLAG) => ColumnKind::Text,
            ColumnType::MYSQL_TYPE_JSON => ColumnKind::Json,
            ty if ty.is_numeric_type() => ColumnKind::Number,
            _ => ColumnKind::Text,
        }
    }

    /// Bytes as MySQL's own literals of them, so that they survive any terminal and any format.
    fn text(self, bytes: &[u8]) -> io::Result<Cow<'_, str>> {
        if self.is_bytes {
            return Ok(Cow::Owned(format!("0x{}", hex::encode(bytes))));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| malformed(NOT_UTF_8))?;
        Ok(Cow::Borrowed(text))
    }

    fn value(self, value: Value) -> io::Result<Option<String>> {
        Ok(Some(match value {
            Value::NULL => return Ok(None),
            Value::Bytes(bytes) => self.text(&bytes)?.into_owned(),
            Value::Int(number) => number.to_string(),
            Value::UInt(number) => number.to_string(),
            Value::Float(number) => {
                float(f64::from(number), number.to_string(), format!("{number:e}"))
            }
            Value::Double(number) => float(number, number.to_string(), format!("{number:e}")),
            Value::Date(year, month, day, hour, minute, second, micros) => {
                let date = format!("{year:04}-{month:02}-{day:02}");
                if matches!(
                    self.ty,
                    ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE
                ) {
                    date
                } else {
                    let fraction = self.fraction(micros);
                    format!("{date} {hour:02}:{minute:02}:{second:02}{fraction}")
                }
            }
            Value::Time(negative, days, hours, minutes, seconds, micros) => {
                let sign = if negative { "-" } else { "" };
                let hours = u64::from(days) * 24 + u64::from(hours);
                let fraction = self.fraction(micros);
                format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}")
            }
        }))
    }

    fn fraction(self, micros: u32) -> String {
        let digits = match self.decimals {
            0 => return String::new(),
            digits @ 1..=MOST_DECIMALS => usize::from(digits),
            _ if micros == 0 => return String::new(),
            _ => usize::from(MOST_DECIMALS),
        };
        let all = format!("{micros:06}");
        format!(".{}", &all[..digits])
    }
}

/// Large and small ones with an exponent, as in the text format.
fn float(number: f64, plain: String, with_exponent: String) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-5..1e15).contains(&size) {
        plain
    } else {
        with_exponent
    }
}

/// What a text that is none is called; not the protocol's fault.
pub(super) const NOT_UTF_8: &str = "cannot read a row: it is not UTF-8";

/// The values of a row. `None` is NULL.
pub(super) fn row<'p>(
    packet: &'p [u8],
    format: Format,
    shapes: &[Shape],
) -> io::Result<Vec<Option<Cow<'p, str>>>> {
    let row = match format {
        Format::Text => text_row(packet, shapes),
        Format::Binary => binary_row(packet, shapes),
    };
    row?.ok_or_else(|| malformed("the server's row is cut"))
}

type Row<'p> = Option<Vec<Option<Cow<'p, str>>>>;

fn text_row<'p>(packet: &'p [u8], shapes: &[Shape]) -> io::Result<Row<'p>> {
    let mut rest = ParseBuf(packet);
    let mut values = Vec::with_capacity(shapes.len());
    for shape in shapes {
        if rest.0.first() == Some(&0xfb) {
            rest.skip(1);
            values.push(None);
            continue;
        }
        let Some(bytes) = rest.checked_eat_lenenc_str() else {
            return Ok(None);
        };
        values.push(Some(shape.text(bytes)?));
    }
    Ok(Some(values))
}

fn binary_row<'p>(packet: &'p [u8], shapes: &[Shape]) -> io::Result<Row<'p>> {
    let mut rest = ParseBuf(packet);
    let nulls = rest
        .checked_skip(1)
        .then(|| rest.checked_eat((shapes.len() + NULL_BITS).div_ceil(8)));
    let Some(nulls) = nulls.flatten() else {
        return Ok(None);
    };
    let mut values = Vec::with_capacity(shapes.len());
    for (nth, shape) in shapes.iter().enumerate() {
        let bit = nth + NULL_BITS;
        if nulls[bit / 8] & (1 << (bit % 8)) != 0 {
            values.push(None);
            continue;
        }
        if is_internal(shape.ty) {
            return Err(malformed("the server sends a value of no known type"));
        }
        let read = rest.parse::<ValueDeserializer<BinValue>>((shape.ty, shape.flags));
        let Ok(read) = read else {
            return Ok(None);
        };
        values.push(shape.value(read.0)?.map(Cow::Owned));
    }
    Ok(Some(values))
}

/// The server's own, which no client gets to see; `mysql_common` panics at them.
fn is_internal(ty: ColumnType) -> bool {
    use ColumnType as T;
    matches!(
        ty,
        T::MYSQL_TYPE_TIMESTAMP2
            | T::MYSQL_TYPE_DATETIME2
            | T::MYSQL_TYPE_TIME2
            | T::MYSQL_TYPE_TYPED_ARRAY
            | T::MYSQL_TYPE_UNKNOWN
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: std::ops::RangeInclusive<u8> = 0..=255;

    fn shape(ty: ColumnType) -> Shape {
        Shape {
            ty,
            flags: ColumnFlags::empty(),
            decimals: 31,
            is_bytes: is_bytes(ty, BINARY),
        }
    }

    #[test]
    fn values_in_text() {
        let text = |ty, bytes: &[u8]| shape(ty).text(bytes).map(Cow::into_owned);
        assert_eq!(
            text(ColumnType::MYSQL_TYPE_BLOB, b"hi\xff").unwrap(),
            "0x6869ff"
        );
        assert_eq!(text(ColumnType::MYSQL_TYPE_LONG, b"7").unwrap(), "7");
        assert!(text(ColumnType::MYSQL_TYPE_JSON, b"\xff").is_err());
    }

    #[test]
    fn numbers_and_times_in_binary_look_as_in_text() {
        let value = |ty, decimals, value| {
            let shape = Shape {
                decimals,
                ..shape(ty)
            };
            shape.value(value).unwrap().unwrap()
        };
        let double = |number| value(ColumnType::MYSQL_TYPE_DOUBLE, 31, Value::Double(number));
        for (number, expected) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (100.0, "100"),
            (1e20, "1e20"),
            (-2.5e-7, "-2.5e-7"),
        ] {
            assert_eq!(double(number), expected);
        }
        let float = value(ColumnType::MYSQL_TYPE_FLOAT, 31, Value::Float(0.1));
        assert_eq!(float, "0.1");
        let at = Value::Date(2026, 1, 2, 3, 4, 5, 600_000);
        assert_eq!(
            value(ColumnType::MYSQL_TYPE_DATE, 0, at.clone()),
            "2026-01-02"
        );
        assert_eq!(
            value(ColumnType::MYSQL_TYPE_DATETIME, 0, at.clone()),
            "2026-01-02 03:04:05"
        );
        assert_eq!(
            value(ColumnType::MYSQL_TYPE_TIMESTAMP, 3, at),
            "2026-01-02 03:04:05.600"
        );
        let time = Value::Time(true, 1, 2, 3, 4, 0);
        assert_eq!(value(ColumnType::MYSQL_TYPE_TIME, 31, time), "-26:03:04");
    }

    #[test]
    fn nonsense_never_panics() {
        // Numbers that look random, and always the same ones.
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_le_bytes()[7]
        };
        let types: Vec<ColumnType> = TYPES
            .filter_map(|byte| ColumnType::try_from(byte).ok())
            .collect();
        assert!(types.len() > 30);
        for round in 0..20_000 {
            let packet: Vec<u8> = (0..round % 64).map(|_| next()).collect();
            let _ = column(&packet);
            let shapes: Vec<Shape> = (0..round % 5)
                .map(|_| shape(types[usize::from(next()) % types.len()]))
                .collect();
            for format in [Format::Text, Format::Binary] {
                let _ = row(&packet, format, &shapes);
            }
        }
    }
}
