import { usage } from '../client/index.js';

/**
 * Each script hands the words of the line to `berth __complete` and shows what it prints, one candidate a line. So all shells know
 * every command, option and pod name there is at the moment, and the scripts never need to change.
 */
const scripts: Readonly<Record<string, string>> = {
  bash: `# bash completion for berth: source <(berth completion bash)
_berth() {
  # "localhost/a:1" and "--output=json" are one word for berth and several for bash, which replaces only the last of them.
  local IFS=$'\\n' line="\${COMP_LINE:0:COMP_POINT}" words=() word glued before= i
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}" glued= before=
    [[ $i -gt 0 && -n $line && $line != [[:space:]]* ]] && glued=1
    line="\${line#"\${line%%[![:space:]]*}"}"
    ((i == COMP_CWORD)) && word="$line"
    line="\${line#"$word"}"
    if [[ $glued ]]; then
      before="\${words[-1]}"
      words[-1]+="$word"
      [[ $word == [:=] ]] && before+="$word"
    else
      words+=("$word")
    fi
  done
  COMPREPLY=($(berth __complete -- "\${words[@]:1}" 2>/dev/null))
  if [[ \${COMPREPLY[0]} == ':files' ]]; then
    COMPREPLY=()
    compopt -o default 2>/dev/null
  elif [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[=/] ]]; then
    compopt -o nospace 2>/dev/null
  fi
  COMPREPLY=("\${COMPREPLY[@]#"$before"}")
}
complete -F _berth berth
`,
  zsh: `#compdef berth
# zsh completion for berth: source <(berth completion zsh)
_berth() {
  local -a found open
  found=("\${(@f)$(berth __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $found[1] == ':files' ]]; then
    _files
  else
    open=("\${(@M)found:#*[=/]}") found=("\${(@)found:#*[=/]}")
    compadd -Q -S '' -a open
    compadd -Q -a found
  fi
}
# Loaded from a folder of functions, this text is the function's own body.
if [[ $funcstack[1] == _berth ]]; then
  _berth
else
  compdef _berth berth
fi
`,
  fish: `# fish completion for berth: berth completion fish | source
function __berth_complete
  set -l last (commandline -ct)
  # In quotes: an empty last word is a word too.
  set -l words (commandline -opc) "$last"
  set -l found (berth __complete -- $words[2..-1] 2>/dev/null)
  if test "$found[1]" = ':files'
    __fish_complete_path "$last"
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
