import { asking, isRuns, quote, type CommandWords, type OptionWords } from './words.ts';

type Values = CommandWords['values'][number];

export const fish = (commands: readonly CommandWords[]): string[] => [
  '# completion of troupe for fish; to have it: troupe completion fish | source',
  'function __troupe_config',
  '  set -l words (commandline -opc)',
  '  set -l at (contains -i -- --config $words)',
  '  and echo -- --config',
  '  and echo -- $words[(math $at + 1)]',
  'end',
  'complete -c troupe -f',
  ...commands.flatMap(({ name, says, options, values }) => {
    const here = `complete -c troupe -n ${quote(`__fish_seen_subcommand_from ${name}`)}`;
    return [
      `complete -c troupe -n __fish_use_subcommand -a ${name} -d ${words(says)}`,
      ...options.map((option) => `${here} ${flagsOf(option)} -d ${words(option.says)}`),
      ...[...new Set(values.flatMap((value) => argument(value) ?? []))].map((offer) => `${here} ${offer}`),
    ];
  }),
];

/** In quotes of fish a backslash stands for itself but before a quote and before another. */
const words = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

const flagsOf = ({ flags, value }: OptionWords): string => {
  const named = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  if (value === undefined) return named.join(' ');
  return [...named, '-r', argument(value) ?? '-f'].join(' ');
};

function argument(values: Values): string | undefined {
  if (values === 'anything') return undefined;
  if (values === 'files') return '-F';
  return `-a ${isRuns(values) ? `'(${asking(values, '(__troupe_config)')})'` : words(values.join(' '))}`;
}
