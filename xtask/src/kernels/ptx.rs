//! PTX as text: what is committed of the compiler's, and its entries.

/// What the first line says between the crate's name and the compiler's version.
const HEADER: &str = ", compiled by `cargo xtask build-kernels` with ";
const ENTRY: &str = ".visible .entry ";
/// What parameters of an entry are called, after the entry's name.
const PARAMETER: &str = "_param_";

/// An access whose address the compiler takes for a generic one, as it does not know where the pointers in a parameter's struct point
/// to, made one of global memory.
///
/// Kernels reach shared memory by instructions of their own, and one with local memory is refused ([`local`]): what is left is global.
fn of_global(line: &str) -> String {
    let Some((name, operands)) = line.trim_start().split_once([' ', '\t']) else { return line.to_owned() };
    // What follows is a state space, a type (`b32`), or a vector of one (`v4`).
    let Some((operation @ ("ld" | "st"), rest)) = name.split_once('.') else { return line.to_owned() };
    let generic = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    let indent = &line[..line.len() - line.trim_start().len()];
    if generic { format!("{indent}{operation}.global.{rest} {}", operands.trim_start()) } else { line.to_owned() }
}

/// A text's kernels that have local memory: arrays that are not in registers.
pub(super) fn local(text: &str) -> Vec<&str> {
    let has = |entry: &Entry<'_>| entry.body.iter().any(|line| line.contains("__local_depot"));
    entries(text).into_iter().filter(has).map(|entry| entry.name).collect()
}

/// The compiler's text under a header that names it and the crate, without its comments, with short names of parameters, and with accesses of global
/// memory that say so.
pub(super) fn tidied(text: &str, package: &str, compiler: &str) -> String {
    let mut tidy = format!("// {package}{HEADER}{compiler}\n");
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
        tidy += &of_global(&line.replace(" \t", " "));
        tidy.push('\n');
    }
    tidy.truncate(tidy.trim_end().len());
    tidy + "\n"
}

/// The compiler that made a tidied text.
pub(super) fn compiler(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix("// ")?.split_once(HEADER).map(|(_, compiler)| compiler)
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
    use super::{compiler, entries, of_global, tidied};

    const RAW: &str = "//\n// Generated\n//\n\n.version 8.0\n\n\n\t// .globl\tfill\n.visible .entry fill(\n\
        \t.param .u64 fill_param_0\n)\n{\n\tld.param.b64 \t%rd1, [fill_param_0];\n\t// begin inline asm\n\
        \tmov.u32 %r1, shared;\n\tret;\n\n}\n";

    #[test]
    fn the_text_is_the_compilers_without_comments() {
        let tidy = tidied(RAW, "my-op", "rustc 1.96.0, LLVM 22");
        let rest = tidy.split_once('\n').map(|(_, rest)| rest);
        let expected = ".version 8.0\n\n.visible .entry fill(\n\t.param .u64 param_0\n)\n{\n\
            \tld.param.b64 %rd1, [param_0];\n\n\tmov.u32 %r1, shared;\n\tret;\n\n}\n";
        assert_eq!(rest, Some(expected));
        assert_eq!(compiler(&tidy), Some("rustc 1.96.0, LLVM 22"));
        assert_eq!(compiler(RAW), None);
    }

    #[test]
    fn generic_accesses_are_of_global_memory() {
        assert_eq!(of_global("\tld.b32 %r1, [%rd1+4];"), "\tld.global.b32 %r1, [%rd1+4];");
        assert_eq!(of_global("\t@%p1 st.v4.b32 [%rd1], {%r1};"), "\t@%p1 st.v4.b32 [%rd1], {%r1};");
        for other in
            ["\tld.param.b64 %rd1, [param_0];", "st.shared.b32 [%r1], %r2;", "\tld.global.nc.b32 %r1, [%rd1];", "}"]
        {
            assert_eq!(of_global(other), other);
        }
    }

    #[test]
    fn entries_have_their_bodies() {
        let text = format!("{}{}", tidied(RAW, "my-op", "a"), RAW.replace("fill", "copy"));
        let names: Vec<_> = entries(&text).into_iter().map(|entry| (entry.name, entry.body.len())).collect();
        assert_eq!(names, [("fill", 5), ("copy", 5)]);
        assert_eq!(entries("").len(), 0);
    }
}
