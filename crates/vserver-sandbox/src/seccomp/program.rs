//! A compiled filter, as it travels from the launcher to where it is installed.

use serde::{Deserialize, Serialize};
use vserver_sys::seccomp::SockFilter;

/// One compiled filter. It travels as one number per instruction (`code`, `jt`, `jf`, `k` from the highest bits down): who
/// installs it parses no policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<u64>", from = "Vec<u64>")]
pub struct Program {
    /// What is handed to [`vserver_sys::seccomp::install`].
    pub instructions: Vec<SockFilter>,
}

impl Program {
    /// Eight bytes per instruction, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.instructions.iter().flat_map(|instruction| pack(instruction).to_be_bytes()).collect()
    }

    /// The inverse; `None` if `bytes` are not whole instructions.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        rest.is_empty().then(|| Self::from(words.iter().map(|word| u64::from_be_bytes(*word)).collect::<Vec<_>>()))
    }
}

impl From<Program> for Vec<u64> {
    fn from(program: Program) -> Self {
        program.instructions.iter().map(pack).collect()
    }
}

impl From<Vec<u64>> for Program {
    fn from(words: Vec<u64>) -> Self {
        Self { instructions: words.into_iter().map(unpack).collect() }
    }
}

fn pack(instruction: &SockFilter) -> u64 {
    let SockFilter { code, jt, jf, k } = *instruction;
    u64::from(code) << 48 | u64::from(jt) << 40 | u64::from(jf) << 32 | u64::from(k)
}

fn unpack(word: u64) -> SockFilter {
    let [c1, c0, jt, jf, k3, k2, k1, k0] = word.to_be_bytes();
    SockFilter { code: u16::from_be_bytes([c1, c0]), jt, jf, k: u32::from_be_bytes([k3, k2, k1, k0]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_journey() {
        let program = Program {
            instructions: vec![
                SockFilter { code: 0x1234, jt: 0x56, jf: 0x78, k: 0x9abc_def0 },
                SockFilter { code: 6, jt: 0, jf: 255, k: u32::MAX },
            ],
        };
        assert_eq!(program.to_bytes().len(), 16);
        assert_eq!(program.to_bytes()[..4], [0x12, 0x34, 0x56, 0x78]);
        assert_eq!(Program::from_bytes(&program.to_bytes()), Some(program.clone()));
        assert_eq!(Program::from_bytes(&[0; 9]), None);
        let text = serde_json::to_string(&program).unwrap();
        assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), program);
    }
}
