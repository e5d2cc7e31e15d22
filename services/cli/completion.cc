// SPDX-License-Identifier: Apache-2.0
#include "services/cli/completion.h"

namespace bulkhead {

const kj::StringPtr kBashCompletion = R"bash(# bash completion for bulkhead
_bulkhead() {
  local word=${COMP_WORDS[COMP_CWORD]} first=${COMP_WORDS[1]:-} second=${COMP_WORDS[2]:-}
  local run="--rm --keep --name --memory --vcpus --pv --pvh --network -e -w -u --entrypoint -i -t
    --hostname --label --pull --kernel --system --extension --kernel-options --read-only --timings
    --cap-add --cap-drop --cap-ambient --group-add --ulimit --tmpfs --sysctl --cgroup --device
    --namespace --uidmap --gidmap --security-opt --shm-size --domainname --stop-signal --timeout
    --oom-score-adj --pids-limit --privileged --help"
  local choices=
  if ((COMP_CWORD == 1)); then
    choices="run zone image host version completion --output --help"
  elif ((COMP_CWORD == 2)) && [[ $word != -* ]]; then
    case $first in
      zone)
        choices="launch list exec logs cp stats top stop pause unpause destroy wait info console";;
      image) choices="pull list inspect history verify export import remove prune usage";;
      host) choices=status;;
      completion) choices=bash;;
      run) choices=$(bulkhead image list --quiet 2>/dev/null);;
    esac
  else
    case $first/$second in
      run/* | zone/launch) choices=$run;;
      zone/cp)
        mapfile -t COMPREPLY < <(compgen -f -- "$word"
          compgen -S : -W "$(bulkhead zone list --quiet 2>/dev/null)" -- "$word")
        return;;
      zone/*)
        choices=$(bulkhead zone list --quiet 2>/dev/null);;
      image/inspect | image/history | image/verify | image/export | image/remove | image/pull)
        choices=$(bulkhead image list --quiet 2>/dev/null);;
      image/import) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
}
complete -F _bulkhead bulkhead
)bash"_kj;

}  // namespace bulkhead
