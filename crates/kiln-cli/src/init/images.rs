//! Settings for pictures in files.

use super::{Found, comments, list, quoted, stopping, training};
use kiln::datasets::{ImageFiles, ImageSummary};
use kiln::prelude::*;
use std::fmt::Write;
use std::path::Path;

/// Sides of samples, in pixels: the smallest one that is not below the pictures' median.
const SIDES: [usize; 4] = [16, 32, 48, 64];
/// Steps of a training.
const STEPS: usize = 1_500;
/// Classes that are listed, and broken pictures.
const SHOWN: usize = 20;

pub(super) fn settings(folder: &Path, path: &str) -> Result<Found> {
    let files = match folder.is_file() {
        true => ImageFiles::csv(folder, "path", "label")?,
        false => ImageFiles::folder(folder)?,
    };
    let summary = files.summary()?;
    let classes = files.class_names().len();
    let [height, width] = summary.median.unwrap_or([SIDES[1]; 2]);
    let side = SIDES.into_iter().find(|&side| side >= height.min(width)).unwrap_or(SIDES[SIDES.len() - 1]);
    let gray = summary.gray == summary.images - summary.broken.len();

    let mut report: Vec<String> = summary.to_string().lines().map(str::to_owned).collect();
    report.push(format!("samples: {side} × {side}, {}", if gray { "gray" } else { "colors" }));
    let mut toml = comments(["Settings for `kiln train --config`, written by `kiln init images`."]);
    toml += &comments(report.iter().take(SHOWN));
    let _ = writeln!(toml, "\nseed = 0\nmetrics = {}", list(&["Accuracy"]));
    toml += &data(path, side, gray, &summary);
    toml += &model(side, classes);
    toml += &rest(summary.images);
    Ok(Found { report, toml })
}

fn data(path: &str, side: usize, gray: bool, summary: &ImageSummary) -> String {
    let color = if gray { "gray" } else { "rgb" };
    let skip = !summary.broken.is_empty();
    format!(
        "\n[data]\nkind = \"images\"\npath = {} # a folder for each class, or a CSV file with the columns path and label\n\
         size = {side} # or [height, width]\ncolor = \"{color}\" # or \"{}\"\n\
         fit = \"crop\" # the middle; or \"stretch\", \"pad\"\n\
         augment = \"shift=0.1,zoom=0.1\" # \"flip\" where left and right mean the same; `kiln data preview --help` lists all\n\
         cache_mb = 1024 # decoded pictures that are kept\nskip_broken = {skip} # whether broken pictures are left out\n\
         test = 0.2 # a share of each class, or a folder\n\
         validation = 0.1 # of the rest: what early stopping goes by\nsplit_seed = 0\n",
        quoted(path),
        if gray { "rgb" } else { "gray" },
    )
}

/// Convolutions until the maps are small.
fn model(side: usize, classes: usize) -> String {
    let mut text = String::from("\n[model]\nlayers = [\n");
    let (mut filters, mut maps) = (32, side);
    while maps >= 8 {
        for _ in 0..2 {
            let _ = writeln!(
                text,
                "    {{ layer = \"Conv2d\", filters = {filters}, kernel = 3, padding = \"same\", use_bias = false }},\n    \
                 {{ layer = \"BatchNorm2d\", activation = \"relu\" }},"
            );
        }
        text += "    { layer = \"MaxPool2d\", kernel = 2 },\n";
        (filters, maps) = ((2 * filters).min(256), maps / 2);
    }
    let _ = writeln!(
        text,
        "    {{ layer = \"GlobalAvgPool\" }},\n    {{ layer = \"Dropout\", rate = 0.2 }},\n    \
         {{ layer = \"Dense\", units = {classes}, activation = \"softmax\" }},\n]"
    );
    text
}

fn rest(images: usize) -> String {
    let (epochs, batch_size) = training(images * 7 / 10, STEPS);
    let patience = (epochs / 4).max(3);
    format!(
        "\n[loss]\nname = \"SparseCategoricalCrossentropy\"\n\n[optimizer]\nname = \"AdamW\"\nlr = 0.002\nweight_decay = 0.01\n\n\
         [schedule]\nname = \"OneCycle\"\n\n\
         {}\
         [training]\nepochs = {epochs}\nbatch_size = {batch_size}\nworkers = 2 # threads that decode and augment\n",
        stopping(patience),
    )
}
