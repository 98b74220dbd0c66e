//! Bytes of event files: Protocol Buffers' encoding, and TensorFlow's records around it.

/// A message of Protocol Buffers, field after field.
#[derive(Clone, Default, Debug)]
pub(super) struct Message(Vec<u8>);

/// How the value of a field is encoded.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    /// Bytes with their length before.
    Length = 2,
    Fixed32 = 5,
}

impl Message {
    pub(super) fn new() -> Self {
        Message::default()
    }

    fn key(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field << 3 | wire as u32));
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn integer(mut self, field: u32, value: u64) -> Self {
        self.key(field, Wire::Varint);
        self.varint(value);
        self
    }

    pub(super) fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, Wire::Fixed32);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A packed list.
    pub(super) fn doubles(self, field: u32, values: &[f64]) -> Self {
        self.bytes(field, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
    }

    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, Wire::Length);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u32, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.0
    }
}

/// A record: the length of the data, its checksum, the data, its checksum.
pub(super) fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// How many of these bytes are whole records.
pub(super) fn whole_records(bytes: &[u8]) -> usize {
    let mut whole = 0;
    while let Some(length) = first_record(&bytes[whole..]) {
        whole += length;
    }
    whole
}

/// Length of the record at the beginning, with all that is around it.
fn first_record(bytes: &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    if masked_crc(length) != u32::from_le_bytes(*crc) {
        return None;
    }
    let count = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (data, rest) = rest.split_at_checked(count)?;
    let (crc, _) = rest.split_first_chunk::<4>()?;
    (masked_crc(data) == u32::from_le_bytes(*crc)).then_some(count + 16)
}

/// The checksum as records have it: checksums of data that has checksums in it would be weak.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The cyclic redundancy check of Castagnoli's polynomial, bits reversed.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, &byte| CRC_OF_BYTE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const CRC_OF_BYTE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_castagnolis() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[]), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        // TensorFlow's masked_crc32c(b"123456789").
        assert_eq!(masked_crc(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn fields_are_encoded_as_protocol_buffers_are() {
        // The examples of the encoding's documentation: 150 in field 1, "testing" in field 2, a message with 150 in field 3.
        let inner = Message::new().integer(1, 150);
        assert_eq!(inner.encoded(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().text(2, "testing").encoded(), b"\x12\x07testing");
        assert_eq!(Message::new().message(3, &inner).encoded(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().integer(4, u64::MAX).encoded().len(), 11);
        assert_eq!(Message::new().float(2, 1.0).encoded(), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(Message::new().double(1, 1.0).encoded(), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(Message::new().doubles(6, &[1.0]).encoded(), [0x32, 8, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    }

    #[test]
    fn records_that_are_cut_or_altered_are_not_whole() {
        let (one, two) = (record(b"one"), record(&[7; 300]));
        assert_eq!((one.len(), &one[..8], &one[12..15]), (19, &[3, 0, 0, 0, 0, 0, 0, 0][..], &b"one"[..]));
        let both = [&one[..], &two[..]].concat();
        assert_eq!(whole_records(&both), both.len());
        for cut in [0, 1, 18, 19, 20, 30, both.len() - 1] {
            assert_eq!(whole_records(&both[..cut]), if cut < 19 { 0 } else { 19 }, "{cut}");
        }
        for at in [0, 9, 13, 18] {
            let mut altered = both.clone();
            altered[at] ^= 1;
            assert_eq!(whole_records(&altered), 0, "{at}");
        }
    }
}
