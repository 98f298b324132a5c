import { Gate } from '../actors/gate.ts';
import type { Leaf } from '../actors/leaf.ts';
import type { Said } from '../actors/said.ts';
import type { Budget, Entry } from '../src/protocol/entry.ts';
import { runId } from '../src/index.ts';
import { KILL_VARIANTS } from './kills.ts';
import { answer, collectGarbage, FOR_MS, must, type Figures } from './measure.ts';

/** What control costs where nothing is controlled. */

const RUN = runId('bench');
const CALLS = 1_000;

const entry = (type: Entry['type'], target: string, event: unknown): Entry =>
  ({ v: 1, run: RUN, seq: 1, epoch: 1, at: 1, type, target, event, cause: null }) as Entry;

/** Calls that reserve and charge where `costs`; the gate is asked for each, and told of its begin and its end. */
function gate(budget: Budget | null, costs: boolean): Figures {
  const own = new Gate();
  own.note(entry('run.created', 'run', { budget }));
  const calls = Array.from({ length: CALLS }, (_, index) => {
    const key = `body/work:${index}/attempt`;
    const policy = costs
      ? {
          effect: 'idempotent' as const,
          tool: { id: 'work', attempt: () => 1 },
          costs: () => ({ tokens: 100, usd: 0.001 }),
        }
      : { effect: 'idempotent' as const };
    // The border: of a leaf the gate reads no more than this.
    const leaf = { key, attempts: 0, policy, input: null } as unknown as Leaf;
    const begun = { effect: 'idempotent', attempt: 1, input: null, ...(costs && RESERVES) };
    const said: Said<'leaf.succeeded'> = { type: 'leaf.succeeded', target: key, event: { output: null }, cause: null };
    return { leaf, said, started: entry('leaf.started', key, begun), key };
  });
  let granted = 0;
  const round = (): void => {
    for (const { leaf, said, started, key } of calls) {
      if (own.ask(leaf, () => false).type === 'granted') granted += 1;
      own.reservedBy(leaf);
      own.note(started);
      if (costs) own.charge(key, CHARGED);
      own.note(entry('leaf.succeeded', key, own.settled(said).event));
    }
  };
  const window = (forMs: number): { us: number; rounds: number } => {
    const [since, before] = [performance.now(), granted];
    let rounds = 0;
    do {
      round();
      rounds += 1;
    } while (performance.now() - since < forMs);
    must(granted - before === rounds * CALLS, 'a call was refused');
    return { us: ((performance.now() - since) * 1_000) / rounds / CALLS, rounds };
  };
  window(FOR_MS / 2);
  collectGarbage();
  const figures = window(FOR_MS);
  must(own.spent.steps === granted, `${own.spent.steps} steps are counted, not ${granted}`);
  must(!costs || own.spent.tokens === granted * CHARGED.tokens, 'what was charged is not what is counted');
  return figures;
}

const RESERVES = { reserved: { tokens: 100, usd: 0.001, toolCalls: 1 } };
const CHARGED = { tokens: 80, usd: 0.0008 };
const ALL: Budget = { tokens: 1e15, usd: 1e6, steps: 1e15, toolCalls: 1e15, wallClockMs: 1e15 };

await answer({
  'gate-all': async () => gate(ALL, true),
  'gate-none': async () => gate(null, false),
  ...KILL_VARIANTS,
});
