//! Data sets that are known by name.

use super::super::choice::choose;
use super::super::section::{Named, Section};
use super::parts::Rows;
use super::{Data, EMBEDDED, Search, text};
use crate::places::folder_of;
use kiln::datasets::{
    ALICE, AddingProblem, Cifar100, Cifar100Labels, DigitStrings, Emnist, EmnistSplit, FashionMnist, ImageOptions,
    Kmnist, Subset, Table,
};
use kiln::prelude::*;
use kiln::trained::Input;
use kiln::{ErrorKind, datasets};
use std::path::PathBuf;
use std::sync::Arc;

/// Rows that are made up, where the settings do not say how many.
const TOYS: usize = 10_000;

pub(super) fn data(named: &Named<'_>, search: &Search<'_>) -> Result<Data> {
    let words = |classes: &[&str]| classes.iter().map(|&class| class.to_owned()).collect::<Vec<_>>();
    let numbered = |count: usize| (0..count).map(|class| class.to_string()).collect::<Vec<_>>();
    let digits = || Some(Input::Digits);
    let photos = || Some(Input::Images(ImageOptions::new(32, 32)));
    let data = choose!(named, "data set", s;
        adding => adding(s, search)?,
        alice => text::language_of(s, search, ("alice", ALICE), "characters")?,
        breast_cancer => table(s, datasets::breast_cancer()?)?,
        cifar10 => {
            let place = fetched("cifar-10", search)?;
            let Cifar10 { train, test } = Cifar10::load(&place)?;
            images(s, [train, test], words(&Cifar10::CLASSES), photos(), place)?
        },
        cifar100 => {
            let place = fetched("cifar-100", search)?;
            let Cifar100 { train, test } = Cifar100::load(&place, Cifar100Labels::Fine)?;
            images(s, [train, test], numbered(100), photos(), place)?
        },
        diabetes => table(s, datasets::diabetes()?)?,
        digit_strings => digit_strings(s, search)?,
        digits => table(s, datasets::digits()?)?,
        emnist => {
            let split = EmnistSplit::Balanced;
            let place = fetched("emnist", search)?;
            let Emnist { train, test } = Emnist::load(&place, split)?;
            let classes = split.characters().chars().map(String::from).collect();
            images(s, [train, test], classes, digits(), place)?
        },
        fashion_mnist => {
            let place = fetched("fashion-mnist", search)?;
            let FashionMnist { train, test } = FashionMnist::load(&place)?;
            images(s, [train, test], words(&FashionMnist::CLASSES), None, place)?
        },
        iris => table(s, datasets::iris()?)?,
        kmnist => {
            let place = fetched("kmnist", search)?;
            let Kmnist { train, test } = Kmnist::load(&place)?;
            images(s, [train, test], words(&Kmnist::CLASSES), digits(), place)?
        },
        mnist => {
            let (Mnist { train, test }, place, notices) = mnist(search)?;
            Data { notices, ..images(s, [train, test], numbered(10), digits(), place)? }
        },
        toy_reviews => text::classes(s, search, made(s, search, datasets::toy_reviews)?)?,
        toy_translations => text::pairs(s, search, made(s, search, datasets::toy_translations)?)?,
        wine => table(s, datasets::wine()?)?,
    );
    named.settings.done()?;
    Ok(data)
}

/// Rows that are made up.
fn made(settings: &Section<'_>, search: &Search<'_>, rows: impl Fn(usize, u64) -> Result<Csv>) -> Result<Rows> {
    let made =
        rows(settings.or("rows", TOYS)?, search.seed).map_err(|error| settings.wrong("rows", error.message()))?;
    Ok(Rows::Made(made))
}

/// The folder of a data set that must have been fetched.
fn fetched(name: &str, search: &Search<'_>) -> Result<PathBuf> {
    folder_of(name, search.option).ok_or_else(|| {
        let message =
            format!("{name} is not here: `kiln data fetch {name}` brings it, or name its folder with --data DIR");
        Error::new(ErrorKind::Io, "", message)
    })
}

/// Images, augmented in training and scaled as the settings say; with `target = "input"` each is its own target.
fn images(
    settings: &Section<'_>,
    parts: [ImageDataset; 2],
    classes: Vec<String>,
    input: Option<Input>,
    place: PathBuf,
) -> Result<Data> {
    let [mut train, mut test] = parts;
    if let Some([low, high]) = settings.get::<[f64; 2]>("scale")? {
        let (scale, shift) = (((high - low) / 255.0) as f32, low as f32);
        (train, test) = (train.normalized(scale, shift), test.normalized(scale, shift));
    }
    if let Some(words) = settings.get::<String>("augment")? {
        let augmentation: Augmentation =
            words.parse().map_err(|error: Error| settings.wrong("augment", error.message()))?;
        train = train.augment(augmentation).map_err(|error| settings.wrong("augment", error.message()))?;
    }
    let own = match settings.or("target", "class".to_owned())?.as_str() {
        "class" => false,
        "input" => true,
        other => return Err(settings.wrong("target", &format!("\"class\" or \"input\" is expected, got {other:?}"))),
    };
    // A picture of a file becomes numbers from 0 to 1.
    let input = input.filter(|_| !settings.has("scale"));
    let boxed =
        |data: ImageDataset| -> Box<dyn Dataset> { if own { Box::new(InputsAsTargets(data)) } else { Box::new(data) } };
    let (train, test) = (boxed(train), boxed(test));
    let classes = if own { Vec::new() } else { classes };
    Ok(Data { input, classes, ..Data::new("images", [train, test], place) })
}

/// One of scikit-learn's tables, a part of it to be tested on.
fn table(settings: &Section<'_>, table: Table) -> Result<Data> {
    let Table { data, class_names, .. } = table;
    let (fraction, seed) = (settings.or("test", 0.2)?, settings.or("split_seed", 0)?);
    let parts = match class_names.is_empty() {
        true => data.split(fraction, seed),
        false => data.split_stratified(fraction, seed),
    };
    let parts = parts.map_err(|error| settings.wrong("test", error.message()))?;
    let [train, test] = parts.map(|part| part.indices().to_vec());
    let data = Arc::new(data);
    let of = |indices: Vec<usize>| -> Result<Box<dyn Dataset>> { Ok(Box::new(Subset::new(data.clone(), indices)?)) };
    Ok(Data { classes: class_names, ..Data::new("rows", [of(train)?, of(test)?], EMBEDDED) })
}

/// MNIST, or what the command carries of it; where it was, and what the user is to know of that.
fn mnist(search: &Search<'_>) -> Result<(Mnist, PathBuf, Vec<String>)> {
    let folder = folder_of("mnist", search.option);
    let place = folder.clone().unwrap_or_else(|| EMBEDDED.into());
    let notice = "using the embedded subset of MNIST: `kiln data fetch mnist` brings all 70,000 images";
    let notices = if folder.is_none() { vec![notice.to_owned()] } else { Vec::new() };
    Ok((folder.map_or_else(Mnist::embedded, Mnist::load)?, place, notices))
}

/// Strings of MNIST's digits: those to be trained on of its training digits.
fn digit_strings(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let most = settings.or("most", 5)?;
    let (Mnist { train, test }, place, notices) = mnist(search)?;
    let strings = |digits, samples, seed| {
        DigitStrings::new(digits, samples, most, seed).map_err(|error| settings.wrong("most", error.message()))
    };
    let train = strings(train, settings.or("train", 10_000)?, search.seed)?;
    let test = strings(test, settings.or("test", 1_000)?, search.seed ^ u64::MAX)?;
    Ok(Data { notices, ..Data::new("strings", [Box::new(train), Box::new(test)], place) })
}

/// The adding problem: sequences that were never seen before, on either side.
fn adding(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let steps = settings.or("steps", 50)?;
    let train = AddingProblem::new(settings.or("train", 20_000)?, steps, search.seed)?;
    let test = AddingProblem::new(settings.or("test", 2_000)?, steps, search.seed ^ u64::MAX)?;
    Ok(Data::new("sequences", [Box::new(train), Box::new(test)], EMBEDDED))
}

/// The shape of the samples of a data set that need not be here: what a model is built for to be looked at.
pub(super) fn shape(named: &Named<'_>) -> Result<Option<Vec<usize>>> {
    let name = named.name.replace(['-', '_'], "");
    Ok(match name.as_str() {
        "mnist" | "fashionmnist" | "kmnist" | "emnist" => Some(vec![28, 28]),
        "cifar10" | "cifar100" => Some(vec![3, 32, 32]),
        _ => None,
    })
}
