import { usage } from '../client/index.js';

/**
 * Each script hands the words of the line to `berth __complete` and shows what it prints, one candidate a line. So all shells know
 * every command, option and pod name there is at the moment, and the scripts never need to change.
 */
const scripts: Readonly<Record<string, string>> = {
  bash: `# bash completion for berth: source <(berth completion bash)
_berth() {
  local IFS=$'\\n'
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  # "pod/na" and "a=b" are one word for berth and several for bash.
  COMPREPLY=($(berth __complete -- "\${words[@]}" 2>/dev/null))
  if [[ \${COMPREPLY[0]} == ':files' ]]; then
    COMPREPLY=()
    compopt -o default 2>/dev/null
  fi
}
complete -F _berth berth
`,
  zsh: `#compdef berth
# zsh completion for berth: source <(berth completion zsh)
_berth() {
  local -a found
  found=("\${(@f)$(berth __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $found[1] == ':files' ]]; then
    _files
  else
    compadd -Q -a found
  fi
}
compdef _berth berth
`,
  fish: `# fish completion for berth: berth completion fish | source
function __berth_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (berth __complete -- $words[2..-1] 2>/dev/null)
  if test "$found[1]" = ':files'
    __fish_complete_path (commandline -ct)
  else
    printf '%s\\n' $found
  end
end
complete -c berth -f -a '(__berth_complete)'
`,
};

export function printScript(shell: string): Promise<number> {
  const script = scripts[shell];
  if (script === undefined)
    throw usage(`completion: ${JSON.stringify(shell)} is none of ${Object.keys(scripts).join(', ')}`);
  process.stdout.write(script);
  return Promise.resolve(0);
}
