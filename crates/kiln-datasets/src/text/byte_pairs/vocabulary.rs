//! Vocabularies of byte pairs as files have them: tokens by name, and pairs of them.

use super::bytes::{byte_of, character_of};
use super::{BYTES, BytePairs, Joined, NONE, Pair, Pairs, Unit};
use crate::text::tokenizer_json::in_order;
use std::collections::{BTreeSet, HashMap};

/// A vocabulary as files have it.
pub(in crate::text) struct Vocabulary {
    /// By number: bytes as GPT-2's characters, special tokens as they are.
    pub(in crate::text) tokens: Vec<String>,
    /// In the order in which they are joined.
    pub(in crate::text) merges: Vec<Pair>,
    /// Tokens that are found in a text before it is cut into pieces.
    pub(in crate::text) special: BTreeSet<u32>,
}

impl Vocabulary {
    /// From GPT-2's two files, or what is wrong with them. Special tokens are those that neither are a byte nor made by a pair.
    pub(in crate::text) fn from_files(vocab: &str, merges: &str) -> Result<Self, String> {
        let numbers: HashMap<String, u32> =
            serde_json::from_str(vocab).map_err(|e| format!("vocab.json is not a map from tokens to numbers: {e}"))?;
        let tokens = in_order(numbers.clone()).map_err(|why| format!("vocab.json: {why}"))?;
        let mut special: BTreeSet<u32> = (0..tokens.len() as u32).collect();
        special.retain(|&token| single_byte(&tokens[token as usize]).is_none());
        let mut pairs = Vec::new();
        for (at, line) in merges.lines().enumerate() {
            if line.is_empty() || at == 0 && line.starts_with("#version") {
                continue;
            }
            let wrong = |why: String| format!("merges.txt, line {}: {why}", at + 1);
            let names = line.split_once(' ').filter(|(_, second)| !second.contains(' '));
            let names = names.ok_or_else(|| wrong("two tokens with a space between them are expected".to_owned()))?;
            let pair = pair_of(names, &numbers).map_err(wrong)?;
            if let Some(joined) = numbers.get(&[names.0, names.1].concat()) {
                special.remove(joined);
            }
            pairs.push(pair);
        }
        Ok(Vocabulary { tokens, merges: pairs, special })
    }

    /// As GPT-2's two files, or what keeps the tokens from being in them.
    pub(in crate::text) fn to_files(&self) -> Result<(String, String), String> {
        let mut numbers = serde_json::Map::new();
        for (token, number) in self.tokens.iter().zip(0u32..) {
            if let Some(other) = numbers.insert(token.clone(), number.into()) {
                return Err(format!("the tokens {other} and {number} are both spelled {token:?} there"));
            }
        }
        let mut merges = "#version: 0.2\n".to_owned();
        for &(first, second) in &self.merges {
            merges.extend([&self.tokens[first as usize], " ", &self.tokens[second as usize], "\n"]);
        }
        Ok((serde_json::Value::from(numbers).to_string(), merges))
    }

    /// The byte pairs, and the special tokens by number. Of these the last ones of the vocabulary are not among the byte pairs' tokens.
    pub(in crate::text) fn build(self) -> Result<(BytePairs, Vec<(String, u32)>), String> {
        let Vocabulary { tokens, merges, special } = self;
        let mut units = vec![None; tokens.len()];
        let (mut of_byte, mut numbers) = (Box::new([NONE; 256]), HashMap::with_capacity(tokens.len()));
        for (number, token) in (0u32..).zip(&tokens) {
            if token.is_empty() {
                return Err(format!("token {number} is an empty text"));
            }
            if numbers.insert(token.as_str(), number).is_some() {
                return Err(format!("the token {token:?} is there twice"));
            }
            if let Some(byte) = single_byte(token).filter(|_| !special.contains(&number)) {
                of_byte[usize::from(byte)] = number;
                units[number as usize] = Some(Unit::Byte(byte));
            }
        }
        let mut joined = Pairs::with_capacity_and_hasher(merges.len(), Default::default());
        for (rank, &(first, second)) in (0u32..).zip(&merges) {
            let name =
                |token: u32| tokens.get(token as usize).ok_or_else(|| format!("pair {rank} has no token {token}"));
            let (left, right) = (name(first)?, name(second)?);
            let whole = [left.as_str(), right].concat();
            let Some(&token) = numbers.get(whole.as_str()) else {
                return Err(format!("{left:?} and {right:?} make {whole:?}, which is not in the vocabulary"));
            };
            if joined.insert((first, second), Joined { rank, token }).is_some() {
                return Err(format!("the pair of {left:?} and {right:?} is there twice"));
            }
            units[token as usize].get_or_insert(Unit::Pair((first, second)));
        }
        let mut end = tokens.len();
        while end > 0 && special.contains(&(end as u32 - 1)) && units[end - 1].is_none() {
            end -= 1;
        }
        let text = |number: usize| match special.contains(&(number as u32)) {
            true => Ok(Unit::Text(tokens[number].as_bytes().into())),
            false => bytes_of(&tokens[number]).map(Unit::Text),
        };
        let units = units.into_iter().take(end).enumerate();
        let units = units.map(|(number, unit)| unit.map_or_else(|| text(number), Ok)).collect::<Result<_, _>>()?;
        let special = special.into_iter().filter_map(|number| Some((tokens.get(number as usize)?.clone(), number)));
        Ok((BytePairs { units, of_byte, joined }, special.collect()))
    }
}

impl BytePairs {
    /// The pairs in the order in which they are joined.
    pub(in crate::text) fn merges(&self) -> Vec<Pair> {
        let mut merges: Vec<(u32, Pair)> = self.joined.iter().map(|(&pair, joined)| (joined.rank, pair)).collect();
        merges.sort_unstable();
        merges.into_iter().map(|(_, pair)| pair).collect()
    }

    /// The tokens by number as files have them; `special` ones are not spelled in GPT-2's characters.
    pub(in crate::text) fn names(&self, special: &BTreeSet<u32>) -> Vec<String> {
        let name = |number: usize| {
            let mut bytes = Vec::new();
            self.write(number, &mut bytes);
            match &self.units[number] {
                Unit::Text(_) if special.contains(&(number as u32)) => String::from_utf8_lossy(&bytes).into_owned(),
                _ => bytes.into_iter().map(character_of).collect(),
            }
        };
        (0..self.len()).map(name).collect()
    }

    /// Whether the tokens are all bytes in GPT-2's order, then what each pair makes.
    pub(in crate::text) fn is_in_order(&self) -> bool {
        let number = |number: u32, unit: &Unit| match unit {
            Unit::Byte(byte) => number < BYTES && self.of_byte[usize::from(*byte)] == number,
            Unit::Pair(pair) => {
                self.joined.get(pair) == Some(&Joined { rank: number.wrapping_sub(BYTES), token: number })
            }
            Unit::Text(_) => false,
        };
        let bytes = self.units.get(..BYTES as usize).unwrap_or_default();
        self.len() == BYTES as usize + self.joined.len()
            && bytes.iter().zip(super::BYTE_OF).all(|(unit, byte)| *unit == Unit::Byte(byte))
            && (0u32..).zip(&self.units).all(|(at, unit)| number(at, unit))
    }
}

/// The numbers of a pair of tokens.
pub(super) fn pair_of((first, second): (&str, &str), numbers: &HashMap<String, u32>) -> Result<Pair, String> {
    let number = |token: &str| numbers.get(token).copied().ok_or_else(|| format!("{token:?} is not in the vocabulary"));
    Ok((number(first)?, number(second)?))
}

/// The byte that a token of one character stands for.
fn single_byte(token: &str) -> Option<u8> {
    let mut characters = token.chars();
    characters.next().and_then(byte_of).filter(|_| characters.next().is_none())
}

/// The bytes of a token that no pair makes.
fn bytes_of(token: &str) -> Result<Box<[u8]>, String> {
    let byte = |character| {
        byte_of(character).ok_or_else(|| format!("{character:?} of the token {token:?} stands for no byte"))
    };
    token.chars().map(byte).collect()
}
