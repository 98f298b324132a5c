import type { ActorState, Moment, Replay, Step } from '../../replay.ts';
import { traced } from '../../trace.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { open, type CommonOptions } from '../open.ts';
import { placeOf } from '../place.ts';
import { doubtLines, eventLine, short, summaryLines, table } from '../render.ts';
import { flat, type Terminal } from '../terminal.ts';

export interface ReplayOptions extends CommonOptions {
  at?: string;
  steps?: boolean;
}

export function replay(id: string, { at, steps, ...options }: ReplayOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, terminal }) => {
    const replayed = await troupe.replay(id);
    if (at !== undefined) return tellMoment(await replayed.at(placeOf(at)), terminal);
    if (steps === true) return tellSteps(replayed, terminal);
    const { summary, entries, inDoubt } = replayed;
    terminal.say(`replayed ${entries} entries of ${id}: equal, nothing executed`);
    for (const line of [...summaryLines(summary, terminal), ...doubtLines(id, inDoubt, terminal)]) terminal.say(line);
    terminal.result(replayed);
    return EXIT.completed;
  });
}

function tellMoment(moment: Moment, terminal: Terminal): ExitCode {
  const { status, actors, snapshot, entry } = moment;
  for (const event of traced([entry])) terminal.say(eventLine(event));
  terminal.say(`${status}; its body: ${short(snapshot.value)}, with ${short(snapshot.context, 2_000)}`);
  for (const line of table(actors.map(({ actor, state }) => [flat(actor), stateText(state)]))) terminal.say(line);
  terminal.result(moment);
  return EXIT.completed;
}

async function tellSteps(replayed: Replay, terminal: Terminal): Promise<ExitCode> {
  const steps: Step[] = [];
  for await (const step of replayed.steps()) {
    steps.push(step);
    for (const event of traced([step.entry])) terminal.say(eventLine(event));
    for (const { actor, from, to } of step.changed)
      terminal.say(`       ${flat(actor)}: ${stateText(from)} → ${stateText(to)}`);
  }
  terminal.result({ run: replayed.run, equal: true, steps });
  return EXIT.completed;
}

const stateText = (state: ActorState['state']): string => {
  if (state === undefined) return '-';
  return typeof state === 'string' ? flat(state) : short(state);
};
