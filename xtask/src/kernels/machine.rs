//! PTX assembled to machine code, and what is to be said of that.

use super::tools::Tools;
use crate::shell::{Result, target};
use std::collections::BTreeMap;

/// A kernel's machine code.
#[derive(Default, Debug, PartialEq)]
pub(super) struct Code {
    /// Registers of a thread.
    pub(super) registers: u32,
    /// Bytes of shared memory that the kernel itself declares.
    pub(super) shared: u32,
    /// Instructions, without padding.
    pub(super) instructions: usize,
    /// Bytes of local memory of a thread: arrays that are not in registers, and spilled registers.
    pub(super) stack: u32,
    /// Bytes that are spilled and read again.
    pub(super) spilled: u32,
    /// An instruction that reaches memory by a generic address.
    pub(super) generic: Option<String>,
}

/// Machine code by kernel.
pub(super) type Codes = BTreeMap<String, Code>;

/// The numbers that stand before each of `units` in a line.
fn before<const N: usize>(line: &str, units: [&str; N]) -> [u32; N] {
    units.map(|unit| {
        let words = line.split(unit).next().filter(|head| head.len() < line.len()).unwrap_or_default();
        words.split([' ', ',']).rfind(|word| !word.is_empty()).and_then(|word| word.parse().ok()).unwrap_or(0)
    })
}

/// What `ptxas -v` tells of each kernel.
fn usage(log: &str) -> Codes {
    let mut codes = Codes::new();
    let mut name = String::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            name = rest.split('\'').next().unwrap_or_default().to_owned();
        }
        let code = codes.entry(name.clone()).or_default();
        if line.contains("bytes stack frame") {
            let [stack, stores, loads] =
                before(line, [" bytes stack frame", " bytes spill stores", " bytes spill loads"]);
            (code.stack, code.spilled) = (stack, stores.max(loads));
        } else if line.contains(" registers") {
            [code.registers, code.shared] = before(line, [" registers", " bytes smem"]);
        }
    }
    // Lines before the first kernel.
    codes.remove("");
    codes
}

/// The lines with which ptxas warns; of lost speed it informs under a number: `info : (C7510) Potential Performance Loss`.
fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("warning") || line.contains("(C7")).collect()
}

/// The instruction of a line of `cuobjdump -sass`, without its predicate: `/*0010*/ @P0 EXIT ; /* 0x… */`.
fn instruction(line: &str) -> Option<&str> {
    let (place, rest) = line.trim_start().strip_prefix("/*")?.split_once("*/")?;
    let text = rest.split([';', '/']).next()?.trim();
    let text = if text.starts_with('@') { text.split_once(' ')?.1.trim_start() } else { text };
    (!place.contains(' ') && !text.is_empty()).then_some(text)
}

/// Adds what a disassembly shows of each kernel.
fn read_instructions(listing: &str, codes: &mut Codes) {
    let mut code = None;
    for line in listing.lines() {
        if let Some((_, name)) = line.split_once("Function : ") {
            code = codes.get_mut(name.trim());
        }
        let (Some(code), Some(text)) = (code.as_deref_mut(), instruction(line)) else { continue };
        let operation = text.split(' ').next().unwrap_or_default();
        code.instructions += usize::from(operation != "NOP");
        // Global memory is LDG, STG; shared memory LDS, STS; these ask at run time which it is.
        if matches!(operation.split('.').next(), Some("LD" | "ST" | "ATOM")) {
            code.generic.get_or_insert_with(|| text.to_owned());
        }
    }
}

impl Code {
    /// What is wrong with it.
    fn fault(&self) -> Option<String> {
        if self.spilled > 0 {
            return Some(format!("{} bytes of registers are spilled", self.spilled));
        }
        if self.stack > 0 {
            return Some(format!("a stack frame of {} bytes: an array is indexed by a variable", self.stack));
        }
        let text = self.generic.as_ref()?;
        Some(format!("`{text}` reaches memory by a generic address: go through Global, GlobalMut and Shared"))
    }
}

/// Assembles a text and disassembles the result.
///
/// # Errors
/// If ptxas refuses it or warns.
pub(super) fn assemble(tools: &Tools, architecture: &str, text: &str) -> Result<Codes> {
    let folder = target().join("ptx").join(architecture);
    let (source, binary) = (folder.join("kernels.ptx"), folder.join("kernels.cubin"));
    let told = |error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(told)?;
    std::fs::write(&source, text).map_err(told)?;
    let read = |command: &mut std::process::Command, name: &str| {
        let output = command.output().map_err(|error| format!("{name} could not be started: {error}"))?;
        let (text, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            Ok((text.into_owned(), log.into_owned()))
        } else {
            Err(format!("{name} refuses {architecture}:\n{text}{log}"))
        }
    };
    let mut ptxas = tools.program("ptxas");
    let (_, log) =
        read(ptxas.arg(format!("-arch={architecture}")).arg("-v").arg(&source).arg("-o").arg(&binary), "ptxas")?;
    let warnings = warnings(&log);
    if !warnings.is_empty() {
        return Err(format!("ptxas warns of {architecture}:\n{}", warnings.join("\n")));
    }
    let (listing, _) = read(tools.program("cuobjdump").arg("-sass").arg(&binary), "cuobjdump")?;
    let mut codes = usage(&log);
    read_instructions(&listing, &mut codes);
    match codes.iter().find(|(_, code)| code.instructions == 0) {
        Some((name, _)) => Err(format!("cuobjdump shows no instructions of {architecture}, {name}")),
        None => Ok(codes),
    }
}

/// What is wrong with the machine code, one line for each kernel.
pub(super) fn faults(architecture: &str, codes: &Codes) -> Vec<String> {
    let faults = codes.iter().filter_map(|(name, code)| Some((name, code.fault()?)));
    faults.map(|(name, fault)| format!("{architecture}, {name}: {fault}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Code, Codes, faults, instruction, read_instructions, usage, warnings};

    const LOG: &str = "ptxas info    : 36 bytes gmem\nptxas info    : Compiling entry function 'a' for 'sm_80'\n\
        ptxas info    : Function properties for a\n    64 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n\
        ptxas info    : Used 17 registers, used 1 barriers, 4096 bytes smem, 400 bytes cmem[0]\n\
        ptxas info    : Compiling entry function 'b' for 'sm_80'\n    0 bytes stack frame, 0 bytes spill stores\n\
        ptxas info    : Used 8 registers, used 0 barriers, 400 bytes cmem[0]\n";

    #[test]
    fn usage_is_read() {
        let a = Code { registers: 17, shared: 4096, stack: 64, spilled: 12, ..Code::default() };
        let b = Code { registers: 8, ..Code::default() };
        assert_eq!(usage(LOG), Codes::from([("a".to_owned(), a), ("b".to_owned(), b)]));
        assert_eq!(usage(""), Codes::new());
        assert_eq!(faults("sm_80", &usage(LOG)), ["sm_80, a: 12 bytes of registers are spilled"]);
    }

    #[test]
    fn warnings_are_found() {
        assert!(warnings(LOG).is_empty());
        let log =
            "ptxas k.ptx, line 5; warning : Instruction is slow\nptxas info    : (C7510) Potential Performance Loss";
        assert_eq!(warnings(log).len(), 2);
    }

    #[test]
    fn instructions_are_read_without_predicates_and_codes() {
        let line = "        /*0070*/               @!P0 ST.E [R2.64+0x4], R7 ;          /* 0x000000000000094d */";
        assert_eq!(instruction(line), Some("ST.E [R2.64+0x4], R7"));
        assert_eq!(instruction("        /*00e0*/                   BRA 0xe0;      /* 0xff */"), Some("BRA 0xe0"));
        assert_eq!(instruction("                              /* 0x000fe400078e00ff */"), None);
        assert_eq!(instruction("\tFunction : a"), None);
    }

    #[test]
    fn generic_addresses_are_found() {
        let mut codes = Codes::from([("a".to_owned(), Code::default()), ("b".to_owned(), Code::default())]);
        let body = "/*0000*/ LDS R1, [R2] ; /* 0x0 */\n/*0010*/ LDG.E R1, [R2.64] ;\n/*0020*/ NOP;";
        read_instructions(
            &format!("\tFunction : a\n{body}\n\tFunction : b\n{body}\n/*0030*/ LD.E R1, [R2.64] ;\n"),
            &mut codes,
        );
        assert_eq!((codes["a"].instructions, codes["b"].instructions), (2, 3));
        let found = faults("sm_80", &codes);
        assert!(found.len() == 1 && found[0].starts_with("sm_80, b: `LD.E R1, [R2.64]` reaches"), "{found:?}");
    }
}
