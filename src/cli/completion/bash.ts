import { asking, isRuns, type CommandWords } from './words.ts';

type Values = CommandWords['values'][number];

/** A function that fills COMPREPLY, and the line that registers it. */
export const bash = (commands: readonly CommandWords[]): string[] => [
  '# completion of troupe for bash; to have it: source <(troupe completion bash)',
  '_troupe() {',
  '  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} place=0 i',
  '  local -a config=()',
  '  COMPREPLY=()',
  // Where the runs are that are asked for.
  '  for ((i = 2; i + 1 < COMP_CWORD; i++)); do',
  '    [[ ${COMP_WORDS[i]} == --config ]] && config=(--config "${COMP_WORDS[i+1]}")',
  '  done',
  '  if ((COMP_CWORD == 1)); then',
  `    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')} --help --version" -- "$word"))`,
  '    return',
  '  fi',
  '  case "$command $before" in',
  ...commands.flatMap(({ name, options }) =>
    options.flatMap(({ flags, value }) =>
      value === undefined
        ? []
        : [`    ${flags.map((flag) => `"${name} ${flag}"`).join('|')}) ${offered(value)}; return ;;`],
    ),
  ),
  '  esac',
  '  if [[ $word == -* ]]; then',
  '    case $command in',
  ...commands.map(
    ({ name, options }) =>
      `      ${name}) COMPREPLY=($(compgen -W "${options.flatMap(({ flags }) => flags).join(' ')}" -- "$word")) ;;`,
  ),
  '    esac',
  '    return',
  '  fi',
  '  # Which argument it is: those that are options, or values of them, are none.',
  '  for ((i = 2; i < COMP_CWORD; i++)); do',
  '    case "$command ${COMP_WORDS[i]}" in',
  ...takingValues(commands),
  '      *" -"*) ;;',
  '      *) ((place++)) ;;',
  '    esac',
  '  done',
  '  case "$command $place" in',
  ...commands.flatMap(({ name, values, again }) =>
    values.map((value, place) => {
      const pattern = again && place === values.length - 1 ? `"${name} "*` : `"${name} ${place}"`;
      return `    ${pattern}) ${offered(value)} ;;`;
    }),
  ),
  '  esac',
  '}',
  'complete -F _troupe troupe',
];

function offered(values: Values): string {
  if (values === 'anything') return ':';
  // Their names may have spaces in them.
  if (values === 'files')
    return `local IFS=$'\\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$word"))`;
  const words = isRuns(values) ? `$(${asking(values, '"${config[@]}"')})` : values.join(' ');
  return `COMPREPLY=($(compgen -W "${words}" -- "$word"))`;
}

function takingValues(commands: readonly CommandWords[]): string[] {
  const patterns = commands.flatMap(({ name, options }) =>
    options.flatMap(({ flags, value }) => (value === undefined ? [] : flags.map((flag) => `"${name} ${flag}"`))),
  );
  return [`      ${patterns.join('|')}) ((i++)) ;;`];
}
