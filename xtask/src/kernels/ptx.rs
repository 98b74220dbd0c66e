//! PTX as text: what is committed of the compiler's, and its entries.

/// What the first line says before the compiler's version.
const HEADER: &str = "// gpu-kernels, compiled by `cargo xtask build-kernels` with ";
const ENTRY: &str = ".visible .entry ";
/// What parameters of an entry are called, after the entry's name.
const PARAMETER: &str = "_param_";

/// The compiler's text under a header that names it, without its comments, and with short names of parameters.
pub(super) fn tidied(text: &str, compiler: &str) -> String {
    let mut tidy = format!("{HEADER}{compiler}\n");
    let mut entry = String::new();
    let mut blank = true;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default().trim_end();
        // One empty line at most, and none at first.
        if line.is_empty() && std::mem::replace(&mut blank, true) {
            continue;
        }
        blank = line.is_empty();
        if let Some(name) = entry_name(line) {
            entry = format!("{name}{PARAMETER}");
        }
        // Their scope is the entry, so they need not repeat its name.
        let line = if entry.is_empty() { line.to_owned() } else { line.replace(&entry, "param_") };
        tidy += &line.replace(" \t", " ");
        tidy.push('\n');
    }
    tidy.truncate(tidy.trim_end().len());
    tidy + "\n"
}

/// The compiler that made a tidied text.
pub(super) fn compiler(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix(HEADER)
}

/// The name of the entry that begins with this line.
fn entry_name(line: &str) -> Option<&str> {
    line.strip_prefix(ENTRY)?.split('(').next()
}

/// A kernel in PTX.
pub(super) struct Entry<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The lines of its body.
    pub(super) body: Vec<&'a str>,
}

/// The entries of a text, in its order.
pub(super) fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = entry_name(line) {
            // The compiler puts the brackets of a body at the beginnings of lines, and no others.
            let body = lines.by_ref().skip_while(|line| *line != "{").skip(1).take_while(|line| *line != "}");
            entries.push(Entry { name, body: body.map(str::trim).collect() });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::{compiler, entries, tidied};

    const RAW: &str = "//\n// Generated\n//\n\n.version 8.0\n\n\n\t// .globl\tfill\n.visible .entry fill(\n\
        \t.param .u64 fill_param_0\n)\n{\n\tld.param.b64 \t%rd1, [fill_param_0];\n\t// begin inline asm\n\
        \tmov.u32 %r1, shared;\n\tret;\n\n}\n";

    #[test]
    fn the_text_is_the_compilers_without_comments() {
        let tidy = tidied(RAW, "rustc 1.96.0, LLVM 22");
        let rest = tidy.split_once('\n').map(|(_, rest)| rest);
        let expected = ".version 8.0\n\n.visible .entry fill(\n\t.param .u64 param_0\n)\n{\n\
            \tld.param.b64 %rd1, [param_0];\n\n\tmov.u32 %r1, shared;\n\tret;\n\n}\n";
        assert_eq!(rest, Some(expected));
        assert_eq!(compiler(&tidy), Some("rustc 1.96.0, LLVM 22"));
        assert_eq!(compiler(RAW), None);
    }

    #[test]
    fn entries_have_their_bodies() {
        let text = format!("{}{}", tidied(RAW, "a"), RAW.replace("fill", "copy"));
        let names: Vec<_> = entries(&text).into_iter().map(|entry| (entry.name, entry.body.len())).collect();
        assert_eq!(names, [("fill", 5), ("copy", 5)]);
        assert_eq!(entries("").len(), 0);
    }
}
