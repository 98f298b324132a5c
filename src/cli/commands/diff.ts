import type { AnyDefinition } from '../../define/definition.ts';
import { ValidationError } from '../../protocol/errors.ts';
import type { Config } from '../config.ts';
import { readDefinition } from '../definition.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { open, type CommonOptions } from '../open.ts';
import { eventLine, short, table } from '../render.ts';
import { flat } from '../terminal.ts';
import { traced } from '../../trace.ts';

/** Ends with 1 where they differ, as diff does. */
export function diff(id: string, source: string | undefined, options: CommonOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, config, terminal }) => {
    const { definition: name } = await (await troupe.attach(id)).summary();
    const definition = source === undefined ? known(name, config) : await readDefinition(source, config);
    const difference = await troupe.diff(id, definition);
    terminal.result({ run: id, definition: definition.name, ...difference });
    if (difference.equal) {
      const how = difference.compared === 'states' ? 'after each the states are the same' : 'each of them fits';
      terminal.say(`${difference.entries} entries of ${id} fit ${definition.name}: ${how}`);
      if (difference.skipped !== undefined) terminal.say(`not compared: ${difference.skipped.map(flat).join(', ')}`);
      return EXIT.completed;
    }
    terminal.say(`${id} and ${definition.name} differ first at entry ${difference.seq}`);
    for (const event of traced([difference.entry])) terminal.say(eventLine(event));
    terminal.say(`expected: ${short(difference.expected, 2_000)}`);
    terminal.say(`got:      ${short(difference.got, 2_000)}`);
    const rows = difference.before.map(({ actor, state }) => [`  ${flat(actor)}`, short(state)]);
    if (rows.length > 0) terminal.say('before it, of the new version:');
    for (const line of table(rows)) terminal.say(line);
    return EXIT.failed;
  });
}

/** @throws ValidationError */
function known(name: string, { definitions }: Config): AnyDefinition {
  const definition = definitions.find((one) => one.name === name);
  if (definition !== undefined) return definition;
  throw new ValidationError(
    `The config has no definition ${name}; say with what to compare: troupe diff <run> plan.txt, or file.ts#export`,
    { definition: name },
  );
}
