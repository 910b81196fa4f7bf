//! From the policy of one mode to its filter.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator as Operator};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use vserver_sys::seccomp::SockFilter;

use super::policy::{Resolved, Verdict};
use super::tree::{self, LOAD, NUMBER, answer};
use super::{Error, Program};

/// The answer to every call that the policy does not name, as an old kernel would give it: programs fall back.
const UNKNOWN: u32 = libc::ENOSYS as u32;

/// How many instructions every compiled filter begins with: load the architecture, compare, kill.
const ARCHITECTURE_CHECK: usize = 3;

/// Calls and, for each, the argument patterns that match it; none means every call.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filter of all that the policy decides by itself.
pub(super) fn judging(policy: &Resolved) -> Result<Program, Error> {
    let mut known = BTreeMap::new();
    for (number, verdict) in &policy.verdicts {
        // No number of a call is negative or that large.
        let Ok(call) = u32::try_from(*number) else { continue };
        let code = match verdict {
            Verdict::Refuse(errno) => vec![answer(libc::SECCOMP_RET_ERRNO | errno)],
            Verdict::Allow => arguments(policy, *number)?,
        };
        known.insert(call, code);
    }
    // Without a rule the compiler makes the check of the architecture and one answer: ours takes that one's place.
    let mut program = filter(Rules::new(), SeccompAction::Errno(UNKNOWN), SeccompAction::Allow)?;
    program.instructions.truncate(ARCHITECTURE_CHECK);
    program.instructions.extend(tree::choose(known, libc::SECCOMP_RET_ERRNO | UNKNOWN));
    Ok(program)
}

/// What is done about a call that is allowed but with certain arguments. If several refuse it, the highest error number it is.
fn arguments(policy: &Resolved, number: i64) -> Result<Vec<SockFilter>, Error> {
    let of_call = || policy.refusals.iter().filter(|refusal| refusal.number == number);
    let errnos: BTreeSet<u32> = of_call().map(|refusal| refusal.errno).collect();
    let mut code = Vec::new();
    for errno in errnos.into_iter().rev() {
        let rules = of_call().filter(|refusal| refusal.errno == errno).map(|refusal| rule(&refusal.conditions));
        code.extend(body(Rules::from([(number, rules.collect::<Result<_, _>>()?)]), errno)?);
    }
    code.push(answer(libc::SECCOMP_RET_ALLOW));
    Ok(code)
}

/// What the compiler makes of the rules of one call, without the question which call it is, and going on at its end where
/// it would allow.
fn body(rules: Rules, errno: u32) -> Result<Vec<SockFilter>, Error> {
    let program = filter(rules, SeccompAction::Allow, SeccompAction::Errno(errno))?;
    let allow = answer(libc::SECCOMP_RET_ALLOW);
    match program.instructions.get(ARCHITECTURE_CHECK..) {
        Some([load, compare, body @ .., one, other])
            if (load.code, load.k) == (LOAD, NUMBER)
                && u32::from(compare.code) == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K
                && *one == allow
                && *other == allow =>
        {
            Ok(body.to_vec())
        }
        _ => Err(Error::Policy { fault: "the compiled rules of a call are not in the known form".to_owned() }),
    }
}

/// The filter of what the supervisor answers. Every refusal of the other is more severe than it.
pub(super) fn asking(policy: &Resolved) -> Result<Option<Program>, Error> {
    let mut rules = Rules::new();
    for question in &policy.questions {
        let patterns = rules.entry(question.number).or_default();
        if !question.conditions.is_empty() {
            patterns.push(rule(&question.conditions)?);
        }
    }
    if rules.is_empty() {
        return Ok(None);
    }
    // The compiler has no word for this answer: another one that we never give stands in its place.
    let mut program = filter(rules, SeccompAction::Allow, SeccompAction::Log)?;
    for instruction in &mut program.instructions {
        if u32::from(instruction.code) == libc::BPF_RET && instruction.k == libc::SECCOMP_RET_LOG {
            instruction.k = libc::SECCOMP_RET_USER_NOTIF;
        }
    }
    Ok(Some(program))
}

fn rule(conditions: &[LinuxSeccompArg]) -> Result<SeccompRule, Error> {
    let conditions: Result<Vec<_>, Error> = conditions.iter().map(condition).collect();
    SeccompRule::new(conditions?).map_err(|source| Error::Compile { source })
}

fn condition(arg: &LinuxSeccompArg) -> Result<SeccompCondition, Error> {
    // In OCI's words `value` is the mask of MASKED_EQ and `valueTwo` what must be left.
    let (operator, value) = match arg.op() {
        Operator::ScmpCmpEq => (SeccompCmpOp::Eq, arg.value()),
        Operator::ScmpCmpNe => (SeccompCmpOp::Ne, arg.value()),
        Operator::ScmpCmpLt => (SeccompCmpOp::Lt, arg.value()),
        Operator::ScmpCmpLe => (SeccompCmpOp::Le, arg.value()),
        Operator::ScmpCmpGe => (SeccompCmpOp::Ge, arg.value()),
        Operator::ScmpCmpGt => (SeccompCmpOp::Gt, arg.value()),
        Operator::ScmpCmpMaskedEq => (SeccompCmpOp::MaskedEq(arg.value()), arg.value_two().unwrap_or_default()),
    };
    let too_large = || Error::Policy { fault: format!("argument {} is compared with {value:#x}", arg.index()) };
    let index = u8::try_from(arg.index()).map_err(|_| too_large())?;
    // A mask may be of the upper half, which the kernel cuts off of most arguments.
    let length = match operator {
        SeccompCmpOp::MaskedEq(mask) if mask > u64::from(u32::MAX) => SeccompCmpArgLen::Qword,
        _ if value > u64::from(u32::MAX) => return Err(too_large()),
        _ => SeccompCmpArgLen::Dword,
    };
    SeccompCondition::new(index, length, operator, value).map_err(|source| Error::Compile { source })
}

fn filter(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Result<Program, Error> {
    let architecture = std::env::consts::ARCH;
    let target = TargetArch::try_from(architecture).map_err(|_| Error::Architecture { architecture })?;
    let filter = SeccompFilter::new(rules, otherwise, matched, target);
    let compiled: BpfProgram = filter.and_then(TryInto::try_into).map_err(|source| Error::Compile { source })?;
    let instructions = compiled.iter().map(|i| SockFilter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    soften(Program { instructions })
}

/// The crate kills a program that calls by the door of another architecture. A guest may well hold a 32-bit program:
/// that one shall learn that there is no such call. The check of the architecture is the first thing in every filter,
/// and the kill its last instruction.
fn soften(mut program: Program) -> Result<Program, Error> {
    let kills = |k: u32| k == libc::SECCOMP_RET_KILL_PROCESS;
    match program.instructions.get_mut(ARCHITECTURE_CHECK - 1) {
        Some(instruction) if u32::from(instruction.code) == libc::BPF_RET && kills(instruction.k) => {
            instruction.k = libc::SECCOMP_RET_ERRNO | UNKNOWN;
            Ok(program)
        }
        _ => Err(Error::Policy { fault: "the compiled filter does not begin with the architecture".to_owned() }),
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
