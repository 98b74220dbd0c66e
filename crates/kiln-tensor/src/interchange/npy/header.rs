//! The header of a .npy file: a magic number, a version, a length, and a Python dict of the elements' type, order and shape
//! (NumPy's `numpy.lib.format`).

use super::wrong;
use crate::{Error, ErrorKind, Result, Shape};
use std::io::Read;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest header that is read: NumPy's own are of 118 bytes, and those of structured types, which are refused, of some more.
const LONGEST: usize = 1 << 16;

/// What a header says.
pub(super) struct Header {
    /// As NumPy writes it, `<f4`.
    pub(super) descr: String,
    pub(super) fortran_order: bool,
    pub(super) shape: Shape,
}

impl Header {
    pub(super) fn read(reader: &mut impl Read) -> Result<Self> {
        let mut start = [0; 8];
        exactly(reader, &mut start)?;
        if !start.starts_with(MAGIC) {
            return Err(wrong("not a .npy file: it does not begin with \"\\x93NUMPY\""));
        }
        let length = match start[6] {
            1 => {
                let mut length = [0; 2];
                exactly(reader, &mut length)?;
                usize::from(u16::from_le_bytes(length))
            }
            2 | 3 => {
                let mut length = [0; 4];
                exactly(reader, &mut length)?;
                u32::from_le_bytes(length) as usize
            }
            other => {
                return Err(wrong(format!("version {other} of the .npy format is not known: 1, 2 or 3 is expected")));
            }
        };
        if length > LONGEST {
            return Err(wrong(format!("a header of {length} bytes: at most {LONGEST} are read")));
        }
        let mut text = vec![0; length];
        exactly(reader, &mut text)?;
        // Version 1 and 2 are Latin-1, version 3 is UTF-8; what counts is ASCII in each.
        Parser { text: &String::from_utf8_lossy(&text), rest: &String::from_utf8_lossy(&text) }.header()
    }

    /// The bytes of a header, filled up so that the elements begin at a multiple of 64.
    pub(super) fn bytes(descr: &str, shape: &Shape) -> Vec<u8> {
        let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let before = MAGIC.len() + 4;
        let whole = (before + text.len() + 1).next_multiple_of(64);
        text.extend(std::iter::repeat_n(' ', whole - before - text.len() - 1));
        text.push('\n');
        [MAGIC, &[1, 0], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
    }
}

fn exactly(reader: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => wrong("the file ends within its header"),
        _ => super::unreadable(error),
    })
}

/// The literals of Python that a header consists of.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn header(mut self) -> Result<Header> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.takes('}') {
            let key = self.string()?;
            self.expect(':')?;
            match key {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => fortran_order = Some(self.truth()?),
                "shape" => shape = Some(self.tuple()?),
                _ => return Err(self.damaged()),
            }
            if !self.takes(',') {
                self.expect('}')?;
                break;
            }
        }
        if !self.rest.trim_end().is_empty() {
            return Err(self.damaged());
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => {
                let shape = Shape::new(&shape).map_err(|error| wrong(error.message()))?;
                Ok(Header { descr, fortran_order, shape })
            }
            _ => Err(self.damaged()),
        }
    }

    #[cold]
    fn damaged(&self) -> Error {
        let shown: String = self.text.trim_end().chars().take(200).collect();
        wrong(format!("its header is {shown:?}: a dict of 'descr', 'fortran_order' and 'shape' is expected"))
    }

    fn takes(&mut self, token: char) -> bool {
        let rest = self.rest.trim_start();
        let taken = rest.strip_prefix(token);
        self.rest = taken.unwrap_or(rest);
        taken.is_some()
    }

    fn expect(&mut self, token: char) -> Result<()> {
        if self.takes(token) { Ok(()) } else { Err(self.damaged()) }
    }

    fn string(&mut self) -> Result<&'a str> {
        let quote = if self.takes('\'') { '\'' } else { '"' };
        if quote == '"' {
            self.expect('"')?;
        }
        let (string, rest) = self.rest.split_once(quote).ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(string)
    }

    /// The type: a string, or a list of fields, which is refused.
    fn descr(&mut self) -> Result<String> {
        if self.rest.trim_start().starts_with('[') {
            let message = "the array is structured, its elements have fields: save each field as an array of its own";
            return Err(Error::new(ErrorKind::Unsupported, "from_npy", message));
        }
        self.string().map(str::to_owned)
    }

    fn truth(&mut self) -> Result<bool> {
        let rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.damaged())
    }

    /// A tuple of whole numbers, `()`, `(3,)`, `(2, 3)`; Python 2 wrote `(3L,)`.
    fn tuple(&mut self) -> Result<Vec<usize>> {
        self.expect('(')?;
        let mut numbers = Vec::new();
        while !self.takes(')') {
            let rest = self.rest.trim_start();
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            numbers.push(rest[..digits].parse().map_err(|_| self.damaged())?);
            self.rest = rest[digits..].trim_start_matches('L');
            if !self.takes(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(numbers)
    }
}
