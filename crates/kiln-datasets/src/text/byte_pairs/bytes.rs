//! Bytes in GPT-2's order, and as the printable characters that its files have for them.

/// Tokens of one byte.
pub(super) const BYTES: u32 = 256;

/// The place of a byte: first those that are printable in Latin-1, then the others, as in GPT-2's vocabulary.
pub(super) const TOKEN_OF: [u8; 256] = {
    let mut tokens = [0; 256];
    let (mut next, mut pass) = (0u8, 0);
    while pass < 2 {
        let mut byte = 0;
        while byte < 256 {
            if is_printable(byte as u8) == (pass == 0) {
                tokens[byte] = next;
                next = next.wrapping_add(1);
            }
            byte += 1;
        }
        pass += 1;
    }
    tokens
};

/// The byte at a place: the inverse of `TOKEN_OF`.
pub(super) const BYTE_OF: [u8; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        letters[TOKEN_OF[byte] as usize] = byte as u8;
        byte += 1;
    }
    letters
};

/// Bytes that stand for themselves.
const PRINTABLE: u8 = 188;

const fn is_printable(byte: u8) -> bool {
    matches!(byte, 33..=126 | 161..=172 | 174..=255)
}

/// The character that stands for a byte in files: itself where it is printable in Latin-1, else one of those from U+0100 on.
pub(super) fn character_of(byte: u8) -> char {
    match is_printable(byte) {
        true => char::from(byte),
        false => char::from_u32(0x100 + u32::from(TOKEN_OF[usize::from(byte)] - PRINTABLE)).unwrap_or_default(),
    }
}

/// The byte that a character stands for, where there is one.
pub(super) fn byte_of(character: char) -> Option<u8> {
    match u8::try_from(u32::from(character)) {
        Ok(byte) => is_printable(byte).then_some(byte),
        Err(_) => {
            let place = usize::try_from(u32::from(character).checked_sub(0x100)?).ok()?;
            BYTE_OF[usize::from(PRINTABLE)..].get(place).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{byte_of, character_of};

    #[test]
    fn each_byte_has_a_character_of_its_own() {
        for byte in 0..=255 {
            assert_eq!(byte_of(character_of(byte)), Some(byte));
        }
        assert_eq!([b' ', b'\n', b'a', 0xe9].map(character_of), ['Ġ', 'Ċ', 'a', 'é']);
        assert_eq!([' ', '\u{7f}', '\u{144}', '日'].map(byte_of), [None; 4]);
    }
}
