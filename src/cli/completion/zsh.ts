import { asking, isRuns, quote, type CommandWords, type OptionWords } from './words.ts';

type Values = CommandWords['values'][number];

const RUNS = ['runs', 'open'] as const;

/** For `_arguments`, which reads what stands in brackets and between colons. */
export const zsh = (commands: readonly CommandWords[]): string[] => [
  '#compdef troupe',
  '# completion of troupe for zsh; to have it: source <(troupe completion zsh)',
  ...RUNS.flatMap((runs) => [
    `_troupe_${runs}() {`,
    '  local -a config=()',
    '  local -i at=${words[(i)--config]}',
    '  ((at < $#words)) && config=(--config ${(Q)words[at+1]})',
    `  local -a runs=(\${(f)"$(${asking(runs, '$config')})"})`,
    '  compadd -a runs',
    '}',
  ]),
  '_troupe() {',
  '  local -a commands=(',
  ...commands.map(({ name, says }) => `    ${quote(`${name}:${plain(says)}`)}`),
  '  )',
  '  if ((CURRENT == 2)); then',
  "    _describe 'command' commands",
  '    return',
  '  fi',
  '  local command=$words[2]',
  '  words=("${(@)words[2,-1]}")',
  '  ((CURRENT--))',
  '  case $command in',
  ...commands.map(
    ({ name, options, values, again }) =>
      `    ${name}) _arguments ${[...options.flatMap(optionSpecs), ...values.map((value, place) => argumentSpec(value, again && place === values.length - 1))].join(' ')} ;;`,
  ),
  '  esac',
  '}',
  'compdef _troupe troupe',
];

const plain = (text: string): string => text.replaceAll(/[[\]:\\]/g, ' ');

const optionSpecs = ({ flags, says, value }: OptionWords): string[] =>
  flags.map((flag) => quote(`${flag}[${plain(says)}]${value === undefined ? '' : `:value:${offered(value)}`}`));

const argumentSpec = (value: Values, again: boolean): string => quote(`${again ? '*' : ''}:argument:${offered(value)}`);

function offered(values: Values): string {
  if (values === 'anything') return ' ';
  if (values === 'files') return '_files';
  return isRuns(values) ? `_troupe_${values}` : `(${values.join(' ')})`;
}
