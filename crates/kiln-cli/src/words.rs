//! Errors of the library in the words of the command.

/// What the library calls something, and what settings files and options call it.
const WORDS: [(&str, &str); 16] = [
    ("`TableOptions::missing_in` with `Missing::DropRow`", "`missing_in`, { COLUMN = \"drop-row\" },"),
    ("`TableOptions::missing_in`", "`missing_in`"),
    ("`TableOptions::missing`", "`missing`"),
    ("`TableOptions::ignore`", "`ignore`"),
    ("`TableOptions::category`", "`categories`"),
    ("`TableOptions::classes`", "`task = \"classification\"`"),
    ("`regression`", "`task = \"regression\"`"),
    ("`CsvOptions::missing`", "`missing_words`"),
    ("; `CsvOptions::line_limit` raises the limit", ""),
    ("`CsvOptions::header(false)`", "`header = false`"),
    ("`TextOptions::drop_missing(true)`", "`drop_missing = true`"),
    ("`TextOptions::drop_missing`", "`drop_missing`"),
    ("`SeriesOptions::fill_forward`", "`fill_forward`"),
    ("`SeriesOptions::features`", "`features`"),
    (
        "call `adapt` with the training data first, or make the layer with `Normalization::with_moments`",
        "the layer must be the first, or with `invert = true` the last",
    ),
    (", made known with `Init::register`", ""),
];

pub(crate) fn of_command(message: &str) -> String {
    WORDS.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}
