//! What the command says about itself: summaries, devices, help, completions, and the nearest word on a typo.

use crate::support::{command, lines, text};

#[test]
fn summary_is_the_table_of_the_layers() {
    let table = lines(&command(&["summary", "mnist-mlp"]));
    assert_eq!(table[0], "Model: \"mnist-mlp\"");
    assert_eq!(table[6], "│ 1 (Dense)    │ (None, 128)  │ 100,480 │ 200,704 │");
    assert!(table.contains(&" Total params: 101,770 (397.54 KB)".to_owned()), "{table:#?}");
    assert!(table.contains(&" FLOPs: 203,264 a sample".to_owned()), "{table:#?}");
}

#[test]
fn devices_are_those_that_can_be_named() {
    let devices = lines(&command(&["devices"]));
    assert!(devices[0].starts_with("cpu  "), "{devices:?}");
}

#[test]
fn help_teaches_by_examples() {
    for (words, expected) in [
        (&["--help"][..], "kiln train mnist-mlp --out runs/first"),
        (&["train", "--help"], "Ctrl-C, SIGTERM and SIGHUP end after the batch"),
        (&["find-lr", "--help"], "kiln find-lr --config iris.toml --max 1 --steps 200"),
        (&["evaluate", "--help"], "kiln evaluate runs/first --out confusion.png"),
        (&["predict", "--help"], "center of mass in the middle"),
        (&["plot", "--help"], "[default: curves.png"),
        (&["data", "preview", "--help"], "shear=DEGREES"),
    ] {
        let help = lines(&command(words)).join("\n");
        assert!(help.contains(expected), "{help}");
    }
}

#[test]
fn completions_know_the_commands_and_recipes() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = lines(&command(&["completions", shell])).join("\n");
        assert!(script.contains("evaluate") && script.contains("batch-size"), "{shell}");
    }
    assert!(lines(&command(&["completions", "bash"])).join("\n").contains("mnist-mlp"));
}

#[test]
fn a_typo_is_answered_with_the_nearest_word_or_with_all_there_are() {
    for (words, says) in [
        (&["trian"][..], "a similar subcommand exists: 'train'"),
        (&["evalute", "run"], "a similar subcommand exists: 'evaluate'"),
        (&["train", "mnist-mpl"], "a similar value exists: 'mnist-mlp'"),
        (&["summary", "mnst-mlp"], "a similar value exists: 'mnist-mlp'"),
        (&["train", "mnist-mlp", "--epoch", "3"], "a similar argument exists: '--epochs'"),
        (&["completions", "bsh"], "a similar value exists: 'bash'"),
        (&["data", "fetch", "fasion-mnist"], "a similar value exists: 'fashion-mnist'"),
        (&["train", "resnet"], "[possible values: mnist-mlp"),
        (&["data", "fetch", "x"], "[possible values: mnist, fashion-mnist, kmnist, emnist, cifar-10, cifar-100]"),
        (&["data", "preview", "cifar-11"], "a similar value exists: 'cifar-10'"),
    ] {
        let output = command(words);
        assert_eq!(output.status.code(), Some(2));
        let stderr = text(&output.stderr);
        assert!(stderr.lines().any(|line| line.contains(says)), "{stderr}");
    }
}
