//! From the policy of one mode to a stack of filters.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator as Operator};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use vserver_sys::seccomp::SockFilter;

use super::policy::{Resolved, Verdict};
use super::{Error, Program, ranges};

/// The answer to every call that the policy does not name, as an old kernel would give it: programs fall back.
const UNKNOWN: u32 = libc::ENOSYS as u32;

/// How many instructions every compiled filter begins with: load the architecture, compare, kill.
const ARCHITECTURE_CHECK: usize = 3;

/// Calls and, for each, the argument patterns that match it; none means every call.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters in the order of their installation.
pub(super) fn stack(policy: &Resolved) -> Result<Vec<Program>, Error> {
    let mut stack = vec![allow_list(policy)?];
    for errno in refused_with(policy) {
        stack.push(filter(refusals(policy, errno)?, SeccompAction::Allow, SeccompAction::Errno(errno))?);
    }
    Ok(stack)
}

/// The filter of what the supervisor answers. Every refusal of the stack is more severe than it.
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

/// Lets every call pass that is not ENOSYS as a whole; the filters above judge the refused ones.
fn allow_list(policy: &Resolved) -> Result<Program, Error> {
    let known = policy.verdicts.iter().filter(|(_, verdict)| **verdict != Verdict::Refuse(UNKNOWN));
    let numbers = known.filter_map(|(number, _)| u32::try_from(*number).ok());
    // Without a rule the compiler makes the check of the architecture and one answer: ours takes that one's place.
    let mut program = filter(Rules::new(), SeccompAction::Errno(UNKNOWN), SeccompAction::Allow)?;
    program.instructions.truncate(ARCHITECTURE_CHECK);
    program.instructions.extend(ranges::only(numbers, libc::SECCOMP_RET_ERRNO | UNKNOWN));
    Ok(program)
}

/// The error numbers that need a filter of their own.
fn refused_with(policy: &Resolved) -> BTreeSet<u32> {
    let whole = policy.verdicts.values().filter_map(|verdict| match verdict {
        Verdict::Refuse(errno) if *errno != UNKNOWN => Some(*errno),
        _ => None,
    });
    whole.chain(policy.refusals.iter().map(|refusal| refusal.errno)).collect()
}

fn refusals(policy: &Resolved, errno: u32) -> Result<Rules, Error> {
    let mut rules = Rules::new();
    for refusal in policy.refusals.iter().filter(|refusal| refusal.errno == errno) {
        rules.entry(refusal.number).or_default().push(rule(&refusal.conditions)?);
    }
    let whole = policy.verdicts.iter().filter(|(_, verdict)| **verdict == Verdict::Refuse(errno));
    rules.extend(whole.map(|(number, _)| (*number, Vec::new())));
    Ok(rules)
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
    if value > u64::from(u32::MAX) || arg.value() > u64::from(u32::MAX) {
        return Err(too_large());
    }
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value).map_err(|source| Error::Compile { source })
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
