# Sources the non-executable scripts of one command, one after the other in one shell, as the original does.
# Reads NUL-terminated code from descriptor $1 and evaluates it; answers on descriptor $2.
exec 60<&"$1" 61>&"$2"
eval "exec $1<&- $2>&-"
shift 2
warning() { printf '%s\n' "$*" >&2; }
panic() { warning "$@"; exit 1; }
# The trap does what -e does by itself, without the complaint that bash 5.2 has about its own variables.
_vs_strict() {
    set -eE
    trap '_vs_status=$?; if [[ $BASH_SUBSHELL = 0 ]]; then exit $_vs_status; fi' ERR
}
_vs_source() {
    local vdir= name= flavor= start= i= already_handled= base=
    . "$@" 60<&- 61>&-
}
_vs_report() {
    local _vs_name _vs_item
    for _vs_name in "$@"; do
        local -n _vs_array=$_vs_name
        printf 'A%s\0' "$_vs_name"
        for _vs_item in "${_vs_array[@]}"; do printf '=%s\0' "$_vs_item"; done
        unset -n _vs_array
    done
    for _vs_name in $(compgen -e); do printf 'E%s=%s\0' "$_vs_name" "${!_vs_name}"; done
    printf 'D%s\0Z\0' "${DONT_SKIP_DEFAULTS-}"
}
while IFS= read -r -d '' -u 60 _vs_code; do
    eval "$_vs_code"
done
