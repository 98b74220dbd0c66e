//! Token files, and windows over them.

use crate::files::Folder;
use kiln_datasets::{Dataset, Loader, Pass, TextStreams, TextWindows, TokenFile, segment_offsets};
use kiln_tensor::{Device, Error, ErrorKind, Result};
use proptest::prelude::*;
use std::fs;

fn cpu() -> Device {
    Device::cpu()
}

#[test]
fn tokens_there_and_back() -> Result<()> {
    let folder = Folder::new("token-file");
    for vocabulary in [65_536usize, 65_537] {
        let path = folder.0.join(vocabulary.to_string());
        let tokens: Vec<i64> = (0..vocabulary as i64).rev().collect();
        TokenFile::write(&path, vocabulary, |file| tokens.chunks(1000).try_for_each(|some| file.add(some)))?;
        let file = TokenFile::open(&path)?;
        assert_eq!((file.len(), file.vocabulary()), (vocabulary, vocabulary));
        assert_eq!(file.to_vec(0..vocabulary)?, tokens);
        assert_eq!(file.to_vec(5..7)?, tokens[5..7]);
        let bytes = fs::metadata(&path).unwrap().len() as usize;
        assert_eq!(bytes, 64 + vocabulary * if vocabulary == 65_536 { 2 } else { 4 });
        let error = file.to_vec(7..vocabulary + 1).unwrap_err().to_string();
        assert!(error.contains(&format!("are asked for of {vocabulary}")), "{error}");
    }
    Ok(())
}

#[test]
fn what_is_no_token_file() -> Result<()> {
    let folder = Folder::new("no-token-file");
    let path = folder.0.join("tokens");
    let write = |vocabulary, tokens: &[i64]| TokenFile::write(&path, vocabulary, |file| file.add(tokens));
    let error = write(10, &[1, 2, 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Index);
    assert!(error.to_string().contains("token 10 at position 2 is out of range, expected 0 to 9"), "{error}");
    assert!(write(10, &[-1]).is_err() && write(0, &[]).is_err() && !path.exists());
    let stopped = TokenFile::write(&path, 10, |_| Err(Error::value("mine", "the reason"))).unwrap_err();
    assert!(stopped.to_string().contains("the reason"), "{stopped}");

    write(10, &[1, 2, 3])?;
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        TokenFile::open(&path).unwrap_err().to_string()
    };
    assert!(refused(&[]).contains("tokens: this is not a file of tokens"));
    assert!(refused(&whole[..30]).contains("this is not a file of tokens"));
    assert!(refused(&whole[..68]).contains("a file of 3 tokens of 2 bytes each has another length than 68 bytes"));
    let mut changed = whole.clone();
    changed[16] = 2;
    assert!(refused(&changed).contains("what the file begins with was changed"));
    assert!(TokenFile::open(folder.0.join("nowhere")).unwrap_err().to_string().contains("nowhere: cannot be read"));
    Ok(())
}

#[test]
fn a_file_gives_the_batches_of_its_tokens() -> Result<()> {
    let folder = Folder::new("token-batches");
    let path = folder.0.join("tokens");
    let tokens: Vec<i64> = (0..101).map(|i| i * i % 50).collect();
    TokenFile::write(&path, 50, |file| file.add(&tokens))?;
    let file = TokenFile::open(&path)?;
    let all = |data: &dyn Dataset| -> Result<Vec<i64>> {
        let batch = data.batch(&(0..data.len()).collect::<Vec<_>>(), &[], &cpu())?;
        Ok([batch.inputs.to_vec::<i64>()?, batch.targets.to_vec::<i64>()?].concat())
    };
    let windows = TextWindows::of_file(file.clone(), 7, 5)?;
    assert_eq!(all(&windows)?, all(&TextWindows::new(tokens.clone(), 7, 5)?)?);
    assert_eq!(all(&TextStreams::of_file(file, 4, 6)?)?, all(&TextStreams::new(tokens, 4, 6)?)?);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_offsets_stay_within_the_stride(count in 2usize..80, length in 1usize..20, stride in 1usize..30, seed: u64) {
        let Ok(text) = TextWindows::new((0..count as i64).collect(), length, stride) else { return Ok(()) };
        let text = text.random_offsets(true);
        let all: Vec<usize> = (0..text.len()).collect();
        let starts = |epoch, indices: &[usize]| -> Vec<i64> {
            let batch = text.training_batch(indices, &[], Pass { seed, epoch }, &cpu()).unwrap();
            let (x, y) = (batch.inputs.to_vec::<i64>().unwrap(), batch.targets.to_vec::<i64>().unwrap());
            assert!(x.iter().zip(&y).all(|(x, y)| x + 1 == *y) && y.iter().all(|&token| token < count as i64));
            x.chunks(length).map(|row| row[0]).collect()
        };
        let first = starts(0, &all);
        for (&start, &index) in first.iter().zip(&all) {
            prop_assert!((index * stride..(index + 1) * stride).contains(&(start as usize)));
        }
        // A window's place depends on nothing but the pass and its index.
        let last = text.len() - 1;
        prop_assert_eq!(starts(0, &[last]), vec![first[last]]);
        // In evaluation they are at the strides.
        let batch = text.batch(&[last], &[], &cpu()).unwrap();
        prop_assert_eq!(batch.inputs.to_vec::<i64>().unwrap()[0] as usize, last * stride);
    }
}

#[test]
fn each_pass_has_other_offsets_and_reaches_all() -> Result<()> {
    let text = TextWindows::new((0..1001).collect(), 10, 10)?.random_offsets(true);
    let mut seen = vec![0; 11];
    for epoch in 0..50 {
        Loader::new(&text).batch_size(25).shuffle(3).epoch(epoch, |batches| {
            for batch in batches {
                for row in batch?.inputs.to_vec::<i64>()?.chunks(10) {
                    seen[row[0] as usize % 10] += 1;
                }
            }
            Ok(())
        })?;
    }
    // 5,000 windows at 10 offsets: but for the last one, which has one place only.
    assert!(seen[..10].iter().all(|&times| (400..600).contains(&times)), "{seen:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The naive way: all documents in one text, of which each token but the first must be a target.
    #[test]
    fn packed_documents_have_every_token(lengths in prop::collection::vec(0usize..9, 1..9), length in 1usize..12, seed: u64) {
        let mut next = 1..;
        let documents: Vec<Vec<i64>> = lengths.iter().map(|&n| next.by_ref().take(n).collect()).collect();
        let all: Vec<i64> = documents.iter().flat_map(|document| document.iter().copied().chain([0])).collect();
        let Ok(text) = TextWindows::of_documents(documents, 0, length) else {
            prop_assert!(all.len() <= length);
            return Ok(());
        };
        let rows: Vec<usize> = (0..text.len()).collect();
        let batch = text.batch(&rows, &[], &cpu()).unwrap();
        let (x, y) = (batch.inputs.iter().next().unwrap().to_vec::<i64>().unwrap(), batch.targets.to_vec::<i64>().unwrap());
        let last = rows.len() - 1;
        prop_assert_eq!(&x[..last * length], &all[..last * length]);
        prop_assert_eq!(&y[..last * length], &all[1..=last * length]);
        // The last row ends with the text, and is not the row before it again.
        prop_assert_eq!(&y[last * length..], &all[all.len() - length..]);
        prop_assert!(last * length < all.len() - 1);
        // In training too, wherever the other rows begin.
        let batch = text.random_offsets(true).training_batch(&[last], &[], Pass { seed, epoch: 1 }, &cpu()).unwrap();
        prop_assert_eq!(batch.targets.to_vec::<i64>().unwrap(), &all[all.len() - length..]);
    }
}

#[test]
fn segments_of_packed_documents() -> Result<()> {
    let documents = [vec![1, 2, 3], vec![], vec![4], vec![5, 6, 7, 8, 9]];
    let text = TextWindows::of_documents(documents, 0, 3)?;
    let batch = text.batch(&[1, 2, 3], &[], &cpu())?;
    let inputs: Vec<_> = batch.inputs.iter().collect();
    assert_eq!(inputs[0].to_vec::<i64>()?, [0, 0, 4, 0, 5, 6, 7, 8, 9]);
    assert_eq!(inputs[1].to_vec::<i64>()?, [0, 1, 2, 0, 1, 1, 0, 0, 0]);
    assert_eq!(batch.targets.to_vec::<i64>()?, [0, 4, 0, 5, 6, 7, 8, 9, 0]);
    assert_eq!(segment_offsets(inputs[1])?.to_vec::<i64>()?, [0, 1, 2, 3, 4, 6, 9]);
    let error = segment_offsets(&inputs[1].index(0, 0)?).unwrap_err().to_string();
    assert!(error.contains("(n, length) is expected"), "{error}");
    Ok(())
}
