//! What stands below the options in `--help`: examples, and what they mean.

use kiln::datasets::AUGMENTATIONS;

/// Below `kiln --help`.
pub(super) const EXAMPLES: &str = "\
Begin here:
  kiln train mnist-mlp --out runs/first    train a digit classifier and keep it
  kiln evaluate runs/first                 accuracy by class on the test images, confusion matrix
  kiln predict runs/first digit.png        which digit is it?

Exit codes: 0 all went well, 1 it did not and one sentence on stderr says why, 2 the arguments are wrong,
130 training was ended by Ctrl-C (SIGINT), 143 by SIGTERM, 129 by SIGHUP; on Windows there is Ctrl-C alone.
`kiln help COMMAND` tells more of each command.";

/// Below `kiln train --help`.
pub(super) const TRAIN_EXAMPLES: &str = "\
Examples:
  kiln train mnist-mlp                                  the recipe as it is
  kiln train mnist-mlp --epochs 3 --lr 0.002 --seed 7   other settings
  kiln train mnist-mlp --out runs/first                 keep the model, its history and its curves
  kiln train mnist-mlp --epochs 1 --profile             where the time goes: tables, and a trace
  kiln train --resume runs/first                        go on with a run that was stopped or killed
  kiln train mnist-mlp --json | jq .val_accuracy        numbers for programs

--out DIR is given model.safetensors (weights, as PyTorch reads them), model.json (architecture), config.toml
(options, seed, versions), history.csv, curves.png and what the training needs to go on; a model that makes images gets
samples.png too, with what it makes after its epochs.

Ctrl-C, SIGTERM and SIGHUP end after the batch that is being trained on or validated with, and save; a second one ends
at once. SIGUSR1 saves without ending.";

/// Below `kiln find-lr --help`.
pub(super) const FIND_LR_EXAMPLES: &str = "\
Examples:
  kiln find-lr mnist-mlp                                 prints a rate, and draws the losses to lr.png
  kiln find-lr --config iris.toml --max 1 --steps 200    of settings; other rates, more steps
  kiln find-lr mnist-cnn --json | jq .suggestion         the rate for programs

The rate of the first step is --min, that of the last one --max; it ends before where the loss has become four times
the smallest one. The suggestion is the rate in the middle of the longest fall of the smoothed loss, as fastai has it. Nothing is saved
but the picture.";

/// Below `kiln evaluate --help`.
pub(super) const EVALUATE_EXAMPLES: &str = "\
Examples:
  kiln evaluate runs/first                         a table: rows are classes, columns what they were taken for
  kiln evaluate runs/first --out confusion.png     the same as a picture too
  kiln evaluate runs/first --json                  one object: test_accuracy, test_loss, classes, confusion, …";

/// Below `kiln quantize --help`.
pub(super) const QUANTIZE_EXAMPLES: &str = "\
Examples:
  kiln quantize runs/first                                the error of each layer, the accuracy before and after
  kiln quantize runs/first --out runs/first-int8          the same, and a model that `kiln predict` computes in int8
  kiln quantize runs/first --keep-worst 2 --out runs/b    the two worst layers stay in f32";

/// Below `kiln predict --help`.
pub(super) const PREDICT_EXAMPLES: &str = "\
Examples:
  kiln predict runs/first seven.png                the three likeliest classes with their probabilities
  kiln predict runs/first scans/*.jpg --json       one object for each image
  kiln predict runs/mood \"a fine film\"             the class of a text
  kiln predict runs/toy \"sort: pear fig apple\"     the text that a model makes of it

An image may have any size and colors; what is transparent lies on white. Models of MNIST want one figure, light
on dark or dark on light, which is made what MNIST's are: gray; inverted if its border is lighter than its middle;
the border's shade becomes black, the strongest one white; the figure is cut out, fitted into 20 × 20 pixels and
put into 28 × 28 with its center of mass in the middle. For models of CIFAR-10, the largest square in the middle
is scaled to 32 × 32 pixels.";

/// Below `kiln sweep --help`.
pub(super) const SWEEP_EXAMPLES: &str = "\
Example: kiln sweep search.toml, where search.toml is

  base = \"mnist-mlp\"              # a recipe, or a settings file, from this file's folder
  method = { name = \"random\", trials = 20, seed = 0 }
  metric = \"val_accuracy\"         # a number that epochs report [default: val_loss]; direction = \"max\" or \"min\"
  epochs = 5                      # of each trial [default: the base's]
  parallel = 2                    # processes

  [parameters]                    # by their paths, as of `kiln train --set`
  \"optimizer.lr\" = { min = 1e-4, max = 0.1, log = true }
  \"training.batch_size\" = [16, 32, 64]
  \"model.layers.1.units\" = { min = 32, max = 256, step = 32 }

  [pruning]                       # stop a trial that is worse than the median of the others
  warmup = 1                      # not in the first epoch
  trials = 4                      # once so many others have got as far

Methods: \"grid\" (all combinations; a range of numbers needs `points`), { name = \"random\", trials, seed },
{ name = \"hyperband\", eta = 3, seed }: many trials begin with few epochs, the best go on, up to `epochs`.

Each trial is a run, DIR/trial-001, …; sweep.json has the state, sweep.png the picture. Ctrl-C stops and saves all
trials. The same command goes on where a sweep was stopped or killed: nothing is trained twice.";

/// Below `kiln runs --help`.
pub(super) const RUNS_EXAMPLES: &str = "\
Examples:
  kiln runs                                        all runs in ./runs and the folders in it
  kiln runs runs/mnist --sort metric               the best one first
  kiln runs --check                                read all files: is any of them damaged?
  kiln runs diff runs/first runs/second            what was set differently, and what came of it
  kiln runs --json | jq .best.value                numbers for programs

States: running (a process is writing there), complete, stopped (by a signal, saved), killed (its process ended
without saving; the last checkpoint is there), diverged (the loss was not finite), broken (why).
`best` is the best value of a metric and the epoch that reported it.";

/// Below `kiln generate --help`.
pub(super) const GENERATE_EXAMPLES: &str = "\
Examples:
  kiln train char-lstm --out runs/alice                              a model of the book that the command carries
  kiln generate runs/alice                                           let it write
  kiln generate runs/alice --prompt \"The Queen\" --temperature 0.5   more carefully
  kiln generate runs/alice --max-tokens 2000 --seed 7                more of it, another text
  kiln generate runs/alice --top-p 0.9 --stop \"\\n\\n\"               likely characters only, one paragraph
  kiln generate runs/alice --prompts beginnings.txt --json           each line of a file, one object for each
  kiln train mnist-gan --out runs/gan                                a model that draws digits
  kiln generate runs/gan --seed 7 --out digits.png                   a sheet of them";

/// Below `kiln data fetch --help`.
pub(super) const FETCH_EXAMPLES: &str = "\
Examples:
  kiln data fetch mnist                                              from the official mirrors
  kiln data fetch https://example.org/wine.csv --sha256 SUM --name wine
                                                                     any other file, to DIR/wine/wine.csv";

/// Below `kiln init --help`.
pub(super) const INIT_EXAMPLES: &str = "\
Examples:
  kiln init csv iris.csv --target species          looks at the table and writes iris.toml
  kiln train --config iris.toml --out runs/iris    trains it
  kiln predict runs/iris new.csv --out said.csv    what the model says about new rows
  kiln init text reviews.csv                       texts with classes; of any other text, a model that goes on with it
  kiln init images photos                          photos/cat/1.jpg, photos/dog/2.png, …: writes photos.toml";

/// Below `kiln data preview --help`.
pub(super) fn preview_help() -> String {
    let mut help = String::from(
        "Examples:
  kiln data preview mnist                                          eight images of each class
  kiln data preview cifar-10 --augment keras                       as the usual Keras listing augments them
  kiln data preview cifar-10 --augment rotation=20,shift=0.2,flip  by custom words
  kiln data preview cifar-10 --augment pytorch,cutout=8 --seed 3   other images, other numbers
  kiln data preview photos --size 64                               photos/cat/*.jpg, photos/dog/*.png, …

Words of --augment:
",
    );
    for word in AUGMENTATIONS {
        help += &format!("  {:<22} {}\n", word.form, word.about);
    }
    help + "\nThe order of the words is of no account: crops, turns and flips are one warp of the image, then colors change, then\n\
            parts are erased, then images are mixed."
}
