//! A table of the kernels' machine code.

use super::machine::{Code, Codes};
use super::ptx;
use std::collections::BTreeSet;

/// Bytes of shared memory: those declared, and whether the launch adds some.
fn shared(code: &Code, dynamic: bool) -> String {
    match (code.shared, dynamic) {
        (0, true) => "dynamic".to_owned(),
        (bytes, true) => format!("{bytes} + dynamic"),
        (bytes, false) => bytes.to_string(),
    }
}

/// Kernel, architecture, registers of a thread, bytes of shared memory of a block, instructions.
pub(super) fn table(texts: &[String], codes: &[(&str, Codes)]) -> String {
    // What a kernel does with shared memory beyond what it declares is with what its launch gives it.
    let entries = texts.iter().flat_map(|text| ptx::entries(text));
    let with_shared = entries.filter(|entry| entry.body.iter().any(|line| line.contains(".shared")));
    let with_shared: BTreeSet<&str> = with_shared.map(|entry| entry.name).collect();
    let names: BTreeSet<&String> = codes.iter().flat_map(|(_, codes)| codes.keys()).collect();
    let mut table =
        format!("{:<36} {:<7} {:>9} {:>14} {:>12}\n", "kernel", "for", "registers", "shared bytes", "instructions");
    for name in names {
        for (architecture, codes) in codes {
            if let Some(code) = codes.get(name) {
                let shared = shared(code, with_shared.contains(name.as_str()));
                table += &format!(
                    "{name:<36} {architecture:<7} {:>9} {shared:>14} {:>12}\n",
                    code.registers, code.instructions
                );
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::kernels::machine::{Code, Codes};

    #[test]
    fn each_kernel_has_a_line_for_each_architecture() {
        let codes = |registers| {
            let code = |shared| Code { registers, shared, instructions: 8, ..Code::default() };
            Codes::from([("b".to_owned(), code(16)), ("a".to_owned(), code(0))])
        };
        let text = ".visible .entry a(\n)\n{\n\tld.shared.b32 %r1, [%r2];\n}\n.visible .entry b(\n)\n{\n}\n".to_owned();
        let table = table(&[text], &[("sm_80", codes(20)), ("sm_90a", codes(22))]);
        let words: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let expected = [
            ["a", "sm_80", "20", "dynamic", "8"],
            ["a", "sm_90a", "22", "dynamic", "8"],
            ["b", "sm_80", "20", "16", "8"],
            ["b", "sm_90a", "22", "16", "8"],
        ];
        assert_eq!(words, expected);
    }
}
