#include "agent/ctl/completion.h"

namespace mainstay::ctl {

// clang-format off
std::string BashCompletion() {
  return R"bash(# bash completion for mainstay: eval "$(mainstay completion bash)"
_mainstay() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -*) ;;
      *)
        case ${COMP_WORDS[i-1]} in
          --address|--agent|--config|--tls-*|--timeout|--output|-o|--reason|--set|--interval|-n) ;;
          *) verb=${COMP_WORDS[i]}; break ;;
        esac ;;
    esac
  done
  case $prev in
    --config|--tls-ca|--tls-cert|--tls-key) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    -o|--output)
      local formats='text json'
      [[ $verb == fsm ]] && formats='text json mermaid'
      COMPREPLY=($(compgen -W "$formats" -- "$cur")); return ;;
    --address|--agent|--tls-name|--timeout|--reason|--set|--interval|-n) return ;;
  esac
  local verbs='agent status switchover failover pause resume restart reload reinit fence unfence forget durability why fsm config version completion'
  local common='--address --config --tls-ca --tls-cert --tls-key --tls-name --timeout --output --help'
  if [[ -z $verb ]]; then COMPREPLY=($(compgen -W "$verbs --help --version" -- "$cur")); return; fi
  case $verb in
    agent) COMPREPLY=($(compgen -W '--config --set --cluster --name --profile --data-dir --grpc --http --log-level --log-format --help' -- "$cur")) ;;
    status) COMPREPLY=($(compgen -W "$common --watch --interval --check" -- "$cur")) ;;
    config) COMPREPLY=($(compgen -W 'check print docs --config --set --origin' -- "$cur")) ;;
    fsm) COMPREPLY=($(compgen -W '--output' -- "$cur")) ;;
    completion) COMPREPLY=($(compgen -W 'bash' -- "$cur")) ;;
    version) ;;
    durability) COMPREPLY=($(compgen -W "async guarded strict $common --yes --reason" -- "$cur")) ;;
    *)
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$common --yes --no-wait --reason --accept-loss --limit" -- "$cur"))
      else
        local members
        members=$("${COMP_WORDS[0]}" status -o json --timeout 1s 2>/dev/null | sed -n 's/^      "name": "\([a-z0-9-]*\)",$/\1/p')
        COMPREPLY=($(compgen -W "$members" -- "$cur"))
      fi ;;
  esac
}
complete -F _mainstay mainstay
)bash";
}
// clang-format on

}  // namespace mainstay::ctl
